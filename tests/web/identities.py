"""Signed-in visitors for the tests: tokens as iam signs them, and the header that Envoy adds after it verified one."""

import time
import uuid
from dataclasses import dataclass, field
from functools import cached_property

from joserfc import jwt
from joserfc.jwk import ECKey

from banyan.contracts import identity
from banyan.infra.identity import Verifier
from banyan.infra.settings import Settings

_KEY = ECKey.generate_key("P-256", {"kid": "test", "use": "sig", "alg": "ES256"})


class TestKeys:
    """iam's public keys, known already."""

    __test__ = False

    async def find(self, kid: str) -> ECKey | None:
        return _KEY if kid == "test" else None


def verifier(settings: Settings) -> Verifier:
    return Verifier(TestKeys(), settings)


@dataclass(frozen=True)
class Person:
    name: str = "김하늘"
    account_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    session_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    roles: str = "learner"

    @cached_property
    def token(self) -> str:
        claims = {
            "iss": identity.ISSUER,
            "aud": identity.AUDIENCE,
            "sub": self.account_id,
            "sid": self.session_id,
            "name": self.name,
            "roles": self.roles,
            "locale": "ko",
            "exp": int(time.time()) + 3600,
        }
        return jwt.encode({"alg": "ES256", "kid": "test"}, claims, _KEY, algorithms=["ES256"])

    @property
    def headers(self) -> dict[str, str]:
        """What a request of this visitor has behind the gateway."""
        return {"cookie": f"{identity.SESSION_COOKIE}={self.token}", identity.SESSION_HEADER: self.session_id}
