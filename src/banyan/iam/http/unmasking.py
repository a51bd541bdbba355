"""A look at the personal data of one event, beside what every context's process tells of its events.

On iam's own socket, for whoever holds the right to it: the console and the command line have asked who that is.
"""

from uuid import UUID

from fastapi import APIRouter, Depends, Response

from banyan.contracts.messaging import StoredEvent, Unmasking
from banyan.iam.http.browsers import now
from banyan.iam.operations.person_keys import PersonKeys
from banyan.infra import http
from banyan.infra.telemetry.faces import from_the_socket_itself


def router(person_keys: PersonKeys) -> APIRouter:
    routes = APIRouter(dependencies=[Depends(from_the_socket_itself)], include_in_schema=False)

    @routes.post("/internal/messaging/events/{event_id}/unmasked", response_model=StoredEvent)
    async def unmasked(event_id: UUID, look: Unmasking) -> Response:
        found = await person_keys.unmask(event_id=event_id, by=look.by, reason=look.reason, now=now())
        return http.json_response(found, headers={"cache-control": "no-store"})

    return routes
