"""Every endpoint of every service, and who may use it. An endpoint that is not in the table fails.

To join: a line in TABLE for each new endpoint, a builder in `applications.py` for each new process.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from joserfc import jwt

from banyan.contracts.identity import AUDIENCE, ISSUER, Role
from banyan.infra.identity import Verifier
from banyan.infra.settings import Settings
from banyan.processes import registry

from .applications import APPLICATIONS, KEY, SERVES_NOTHING, OneKey, endpoints

SUB = "01a20ccf-a37d-79fb-a85a-4e425fb6420e"
SID = "01a20ccf-a3a4-77f6-9db2-8b4f17aa0e00"
WHO = ("anonymous", *Role)

IN = "in"
TO_SIGN_IN = "to /login"


@dataclass(frozen=True, slots=True)
class Row:
    """What each gets: IN (whatever the answer is then), TO_SIGN_IN, 401 or 403."""

    anonymous: str
    learner: str
    instructor: str
    admin: str
    operator: str


ANYBODY = Row(IN, IN, IN, IN, IN)
SIGNED_IN = Row("401", IN, IN, IN, IN)
PAGE_OF_ONES_OWN = Row(TO_SIGN_IN, IN, IN, IN, IN)
PAGE_OF_OPERATORS = Row(TO_SIGN_IN, "403", "403", "403", IN)
OPERATORS = Row("401", "403", "403", "403", IN)
SERVICES = Row("401", "401", "401", "401", "401")  # with a token of their own that nobody signed in has
PRIVATE = ANYBODY  # reached over owner-only sockets alone; the front door has no way to it

TABLE: dict[str, dict[str, Row]] = {
    "iam": {
        "POST /api/v1/accounts": ANYBODY,
        "POST /api/v1/session": ANYBODY,
        "DELETE /api/v1/session": ANYBODY,
        "GET /api/v1/me": SIGNED_IN,
        "PATCH /api/v1/me": SIGNED_IN,
        "DELETE /api/v1/me": SIGNED_IN,
        "PUT /api/v1/me/password": SIGNED_IN,
        "GET /api/v1/sessions": SIGNED_IN,
        "DELETE /api/v1/sessions": SIGNED_IN,
        "DELETE /api/v1/sessions/{session_id}": SIGNED_IN,
        "POST /api/v1/password-resets": ANYBODY,
        "GET /api/v1/password-resets/{token}": ANYBODY,
        "PUT /api/v1/password-resets/{token}": ANYBODY,
        "GET /_banyan/mail": ANYBODY,  # at this machine, in the demo
        "ANY /gw/refresh": PRIVATE,
        "GET /internal/keys": PRIVATE,
        "GET /internal/revoked-sessions": PRIVATE,
        "POST /internal/person-keys": SERVICES,
        "GET /internal/people": SERVICES,
        "POST /internal/messaging/events/{event_id}/unmasked": PRIVATE,
    },
    "gateway": {
        "GET /_banyan/health": ANYBODY,
        "GET /_banyan/metrics": OPERATORS,  # or whoever has the token for it
        "GET /_banyan/console": PAGE_OF_OPERATORS,
        "GET /_banyan/console/": PAGE_OF_OPERATORS,
        "GET /_banyan/console/processes": PAGE_OF_OPERATORS,
        "GET /_banyan/console/logs": PAGE_OF_OPERATORS,
        "GET /_banyan/console/traces": PAGE_OF_OPERATORS,
        "GET /_banyan/console/traces/{trace_id}": PAGE_OF_OPERATORS,
        "GET /_banyan/console/events": PAGE_OF_OPERATORS,
        "GET /_banyan/console/events/dead": PAGE_OF_OPERATORS,
        "GET /_banyan/console/events/search": PAGE_OF_OPERATORS,
        "GET /_banyan/console/events/{context}/dead/{letter_id}": PAGE_OF_OPERATORS,
        "GET /_banyan/console/events/{context}/stored/{event_id}": PAGE_OF_OPERATORS,
        "POST /_banyan/console/events/{context}/consumers/{name}": OPERATORS,
        "POST /_banyan/console/events/{context}/dead/redrive": OPERATORS,
        "POST /_banyan/console/events/{context}/dead/{letter_id}/discard": OPERATORS,
        "POST /_banyan/console/events/{context}/replays/{work_id}/cancel": OPERATORS,
        "POST /_banyan/console/events/{context}/rebuilds/{work_id}/cancel": OPERATORS,
        # An operator who is an admin as well, too: that is tried with data.
        "POST /_banyan/console/events/{context}/stored/{event_id}/unmasked": Row("401", "403", "403", "403", "403"),
        "GET /_banyan/console/alerts": PAGE_OF_OPERATORS,
        "GET /_banyan/console/now": OPERATORS,
        "GET /_banyan/console/stream": OPERATORS,
        "GET /_banyan/console/assets/{version}/{name:path}": ANYBODY,
        "POST /_banyan/console/kill-switch": OPERATORS,
        "POST /_banyan/console/routes/{name}/side": OPERATORS,
        "POST /_banyan/console/processes/{name}/restart": OPERATORS,
        "GET /control/changes": PRIVATE,
        "GET /control/plan": PRIVATE,
        "GET /control/routes": PRIVATE,
        "POST /control/routes": PRIVATE,
        "DELETE /control/routes/{name}": PRIVATE,
        "PUT /control/routes/{name}/side": PRIVATE,
    },
    "learning": {
        "GET /api/v1/courses": ANYBODY,
        "GET /api/v1/courses/{slug}": ANYBODY,
        "GET /api/v1/courses/{slug}/progress": SIGNED_IN,
        "GET /api/v1/enrolments": SIGNED_IN,
        "POST /api/v1/enrolments": SIGNED_IN,
        "GET /api/v1/lessons/{lesson_id}": ANYBODY,  # a preview is for everybody; the rest is tried with data
        "PUT /api/v1/lessons/{lesson_id}/progress": SIGNED_IN,
        "GET /_banyan/media/{lesson_id}/{file}": Row("403", "403", "403", "403", "403"),  # without a signature
    },
    "monitor": {
        "GET /now": PRIVATE,
        "GET /traces": PRIVATE,
        "GET /traces/{trace_id}": PRIVATE,
        "GET /logs": PRIVATE,
        "GET /alerts": PRIVATE,
        "POST /alerts/test": PRIVATE,
        "GET /metrics-of-all": PRIVATE,
        "POST /v1/traces": PRIVATE,
    },
    "live": {"GET /api/v1/courses/{slug}/live": ANYBODY},
    "web": {
        "GET /": ANYBODY,
        "GET /courses": ANYBODY,
        "GET /courses/": ANYBODY,
        "GET /courses/{slug}": ANYBODY,
        "GET /courses/{slug}/": ANYBODY,
        "GET /courses/{slug}/enrolment": ANYBODY,
        "POST /courses/{slug}/enrolment": PAGE_OF_ONES_OWN,
        "GET /learn/{slug}": PAGE_OF_ONES_OWN,
        "GET /learn/{slug}/{lesson}": ANYBODY,
        "POST /learn/{slug}/{lesson}": PAGE_OF_ONES_OWN,
        "GET /login": ANYBODY,
        "POST /login": ANYBODY,
        "GET /logout": ANYBODY,
        "POST /logout": ANYBODY,
        "GET /signup": ANYBODY,
        "POST /signup": ANYBODY,
        "GET /reset": ANYBODY,
        "POST /reset": ANYBODY,
        "GET /reset/{token}": ANYBODY,
        "POST /reset/{token}": ANYBODY,
        "GET /me": PAGE_OF_ONES_OWN,
        "GET /account": PAGE_OF_ONES_OWN,
        "POST /account": PAGE_OF_ONES_OWN,
        "GET /_banyan/assets/{version}/{name:path}": ANYBODY,
    },
}


def test_every_process_is_here() -> None:
    assert {process.name for process in registry.PROCESSES} == APPLICATIONS.keys() | SERVES_NOTHING
    assert TABLE.keys() == APPLICATIONS.keys()


@pytest.mark.parametrize("service", APPLICATIONS)
def test_every_endpoint_is_in_the_table(service: str, tmp_path: Path) -> None:
    told = settings(tmp_path)

    there = endpoints(APPLICATIONS[service](told, Verifier(OneKey(), told)))

    assert there == TABLE[service].keys()


@pytest.mark.parametrize("service", APPLICATIONS)
async def test_everybody_may_do_what_the_table_says_and_no_more(service: str, tmp_path: Path) -> None:
    told = settings(tmp_path)
    app = APPLICATIONS[service](told, Verifier(OneKey(), told))
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        wrong = [
            f"{endpoint} as {who}: {got}, not {getattr(row, who)}"
            for endpoint, row in TABLE[service].items()
            for who in WHO
            if (got := await result(client, endpoint, who)) != getattr(row, who)
        ]

    for called in getattr(app.state, "called", ()):
        await called.close()

    assert not wrong, "\n".join(wrong)


async def result(client: httpx.AsyncClient, endpoint: str, who: str) -> str:
    method, path = endpoint.split(" ", 1)
    for part in ("session_id", "lesson_id"):
        path = path.replace(f"{{{part}}}", SUB)
    path = "/".join("x" if part.startswith("{") else part for part in path.split("/"))
    headers = {"origin": "http://127.0.0.1:8000", "content-type": "application/json"}
    if who != "anonymous":
        headers |= {"authorization": f"Bearer {token(who)}", "x-banyan-session": SID}
    answer = await client.request("GET" if method == "ANY" else method, path, headers=headers, content=b"{}")
    if answer.status_code in (302, 303) and "/login" in answer.headers["location"]:
        return TO_SIGN_IN
    return str(answer.status_code) if answer.status_code in (401, 403) else IN


def token(role: str) -> str:
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": SUB,
        "sid": SID,
        "name": "somebody",
        "roles": role,
        "locale": "en",
        "exp": int(time.time()) + 60,
    }
    return jwt.encode({"alg": "ES256", "kid": "ours"}, claims, KEY, algorithms=["ES256"])


def settings(folder: Path) -> Settings:
    told = Settings.read({"BANYAN_DATA": str(folder), "BANYAN_DEMO": "1"})
    told.make_folders()
    return told
