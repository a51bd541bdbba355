"""Envoy and the files it reads."""
