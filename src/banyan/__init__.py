"""Banyan: an online-course platform that grows around the site a company already runs."""

__version__ = "0.1.0"
