"""The operator's console, `/_banyan/console`: a page per question, each of them live, and the way back on all."""

from banyan.gateway.http.console.pages import HOME, Console

__all__ = ["HOME", "Console"]
