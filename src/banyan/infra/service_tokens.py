"""What a service shows when it asks on its own behalf: a token of a minute, signed with a secret of the data folder.

No visitor has that secret, so nothing that comes through the front door is taken for a service, whoever is signed in.
"""

import time
from collections.abc import Callable, Mapping

from fastapi import Request
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from banyan.infra.secrets import secret
from banyan.infra.settings import Settings
from banyan.kit.errors import Refusal

SCHEME = "Banyan-Service"  # not Bearer, which Envoy looks into
_SECRET = "service-tokens"  # noqa: S105 # the name of a file
_ALGORITHM = "HS256"
_ISSUER = "banyan-services"
_LIFE_SECONDS = 60
_LONGEST = 1024


class ServicesOnly(Refusal):
    """This is for services of this installation only."""

    status = 401


class ServiceToken:
    """Made by `service` for calls to `audience`; the same one until half of its life is over."""

    def __init__(
        self, settings: Settings, *, service: str, audience: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._claims = {"iss": _ISSUER, "sub": service, "aud": audience}
        self._clock = clock
        self._made = ""
        self._renew_at = float("-inf")

    def headers(self) -> Mapping[str, str]:
        now = self._clock()
        # A clock that was set back must not leave us with a token of the future.
        if not self._renew_at - _LIFE_SECONDS / 2 <= now < self._renew_at:
            claims = {**self._claims, "exp": int(now) + _LIFE_SECONDS}
            self._made = jwt.encode({"alg": _ALGORITHM}, claims, _key(self._settings), algorithms=[_ALGORITHM])
            self._renew_at = now + _LIFE_SECONDS / 2
        return {"authorization": f"{SCHEME} {self._made}"}


def services_only(
    settings: Settings, *, audience: str, clock: Callable[[], float] = time.time
) -> Callable[[Request], str]:
    """A FastAPI dependency: the service that asks. Raises ServicesOnly for everybody else."""

    def dependency(request: Request) -> str:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != SCHEME or len(token) > _LONGEST:
            raise ServicesOnly
        try:
            claims = jwt.decode(token.strip(), _key(settings), algorithms=[_ALGORITHM]).claims
        except (JoseError, ValueError, TypeError):
            raise ServicesOnly from None
        match claims:
            case {"iss": str() as issuer, "aud": str() as meant, "sub": str() as service, "exp": int() as end} if (
                issuer == _ISSUER and meant == audience and clock() < end + settings.clock_skew
            ):
                return service
        raise ServicesOnly

    return dependency


def _key(settings: Settings) -> OctKey:
    return OctKey.import_key(secret(settings.secrets, _SECRET))
