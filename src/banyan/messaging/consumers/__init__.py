"""Consumers: an event has its effect once, in the order of its key, however often it comes; and what cannot be handled
goes to the dead letters, with what comes after it of the same key behind it."""

from banyan.messaging.consumers.consumer import Consumer, Handle, Handler, on
from banyan.messaging.consumers.running import Consuming, Hearing, at_once, consuming
from banyan.messaging.pace import Pace

__all__ = ["Consumer", "Consuming", "Handle", "Handler", "Hearing", "Pace", "at_once", "consuming", "on"]
