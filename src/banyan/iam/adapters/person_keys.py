"""Keys of people's data, as they lie in the database: sealed by a secret that does not."""

import hashlib
import os
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from banyan.iam.domain import AccountId

_KEY_BYTES = 32
_NONCE_BYTES = 12


class KeysUnreadableError(Exception):
    """The secret that the keys of people's data were sealed with is not in this data folder. Nobody is taken for erased
    because of it: put `secrets/iam-person-keys` back."""


class KeyVault:
    """Makes and opens keys; a row is its account's, and opens for no other."""

    def __init__(self, secret: Callable[[], str]) -> None:
        self._secret = secret

    def make(self, account_id: AccountId) -> tuple[bytes, bytes]:
        """A new key, and what is kept of it."""
        key, nonce = os.urandom(_KEY_BYTES), os.urandom(_NONCE_BYTES)
        return key, nonce + self._cipher().encrypt(nonce, key, account_id.bytes)

    def open(self, account_id: AccountId, sealed: bytes) -> bytes:
        """Raises KeysUnreadableError."""
        try:
            return self._cipher().decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], account_id.bytes)
        except InvalidTag:
            raise KeysUnreadableError(KeysUnreadableError.__doc__) from None

    def _cipher(self) -> AESGCM:
        return AESGCM(hashlib.sha256(self._secret().encode()).digest())
