"""Keys that sign tokens: made here, kept encrypted, and never shown but for their public halves."""

import hashlib
import json
from collections.abc import Callable, Iterable
from datetime import datetime

from joserfc import jwe, jwt
from joserfc.jwk import ECKey, OctKey

from banyan.contracts.identity import AUDIENCE, ISSUER
from banyan.iam.domain import Account, SessionId, SigningKey
from banyan.infra.identity import ALGORITHM


class Vault:
    """Makes and opens signing keys; `secret` is the data folder's, so that a stolen database signs nothing."""

    def __init__(self, secret: Callable[[], str]) -> None:
        self._read_secret = secret
        self._opened: dict[str, ECKey] = {}

    def make(self, *, created_at: datetime, signs_from: datetime) -> SigningKey:
        key = ECKey.generate_key("P-256")
        kid = key.thumbprint()
        marks: dict[str, str] = {"kid": kid, "use": "sig", "alg": ALGORITHM}
        private = json.dumps({**key.as_dict(private=True), **marks})
        public = json.dumps({**key.as_dict(private=False), **marks})
        sealed = jwe.encrypt_compact({"alg": "dir", "enc": "A256GCM"}, private, self._secret())
        return SigningKey(kid=kid, public=public, private=sealed, created_at=created_at, signs_from=signs_from)

    def sign(self, key: SigningKey, account: Account, session_id: SessionId, *, now: datetime, ends: datetime) -> str:
        claims: dict[str, object] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(account.id),
            "sid": str(session_id),
            "name": account.name,
            "roles": ",".join(sorted(account.roles)),
            "locale": account.locale,
            "iat": int(now.timestamp()),
            "exp": int(ends.timestamp()),
        }
        return jwt.encode({"alg": ALGORITHM, "kid": key.kid}, claims, self._open(key), algorithms=[ALGORITHM])

    def _secret(self) -> OctKey:
        return OctKey.import_key(hashlib.sha256(self._read_secret().encode()).digest())

    def _open(self, key: SigningKey) -> ECKey:
        opened = self._opened.get(key.kid)
        if opened is None:
            plain = jwe.decrypt_compact(key.private, self._secret()).plaintext
            opened = self._opened[key.kid] = ECKey.import_key(json.loads(plain or b"{}"))
        return opened


def key_set(keys: Iterable[SigningKey]) -> str:
    """A JSON Web Key Set of the public halves."""
    return json.dumps({"keys": [json.loads(key.public) for key in keys]})
