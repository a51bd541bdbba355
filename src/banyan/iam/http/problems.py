"""How refusals are declared in the API's description."""

from typing import Any

PROBLEM: dict[str, Any] = {
    "description": "An RFC 9457 problem document.",
    "content": {
        "application/problem+json": {
            "schema": {
                "type": "object",
                "required": ["type", "title", "status", "detail"],
                "properties": {
                    "type": {"type": "string"},
                    "title": {"type": "string"},
                    "status": {"type": "integer"},
                    "detail": {"type": "string"},
                },
            }
        }
    },
}
