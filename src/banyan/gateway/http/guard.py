"""Who may use the console: whoever has the permission, by pages of our own site."""

from urllib.parse import quote

from fastapi import Request

from banyan.contracts.identity import Permission
from banyan.gateway.operations.routes import Routes
from banyan.infra import identity
from banyan.infra.identity import Caller, Verifier

_SIGN_IN = "/login"
_SIGN_IN_OF_OURS = "/_banyan/login"


class Guard:
    def __init__(self, verifier: Verifier, routes: Routes) -> None:
        self._operator = identity.required(verifier, Permission.OPERATE)
        self._routes = routes

    async def check(self, request: Request) -> Caller:
        """Who asks. Raises SignedOut, NotPermitted, and ForeignPage for a write that another site's page has sent."""
        return await self._operator(request)

    def sign_in_for(self, page: str) -> str:
        """Where to sign in and come back from: the usual page, or Banyan's own where that one is the old site's."""
        known = self._routes.known.routes if self._routes.known else ()
        killed = self._routes.kill_switch_is_on()
        usual = any(
            route.path == _SIGN_IN and route.side == "new" and not (killed and route.old_twin) for route in known
        )
        return f"{_SIGN_IN if usual else _SIGN_IN_OF_OURS}?next={quote(page)}"
