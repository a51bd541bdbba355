"""What a context's process tells of its events, and what may be asked of it: on its own socket, never through Envoy.

The answers are those of `contracts/messaging.py`.
"""

from fastapi import APIRouter, Depends

from banyan.infra.telemetry.faces import from_the_socket_itself


def router(*parts: APIRouter) -> APIRouter:
    """`/internal/messaging/...`, for whoever may open this process's socket."""
    api = APIRouter(
        prefix="/internal/messaging", dependencies=[Depends(from_the_socket_itself)], include_in_schema=False
    )
    for part in parts:
        api.include_router(part)
    return api
