"""Encryption by a passphrase: scrypt, a key for each file by HKDF, and AES-256-GCM in frames.

The nonce counts the frames and says which one is the last, so frames can be neither left out, moved nor cut off; the
file's name is in its key, so files cannot be swapped.
"""

import os
from collections.abc import AsyncIterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from banyan.infra.backup.manifest import Damaged
from banyan.kit.errors import Refused

_MAGIC = b"banyan sealed 1\n"
_SALT = 16
HEADER = len(_MAGIC) + _SALT
_FRAME = 256 * 1024
_TAG = 16
_COST = {"n": 2**17, "r": 8, "p": 1}  # 128 MB and a third of a second, once a backup


class PassphraseNeeded(Refused):
    """The backup is encrypted: put its passphrase into BANYAN_BACKUP_PASSPHRASE."""


class PassphraseWrong(Refused):
    """The backup cannot be decrypted: the passphrase is not the one it was made with, or the backup was changed.
    Nothing was restored."""


class NotEncrypted(Refused):
    """The backup is not encrypted, and a passphrase was given: it may have been put in the place of yours. If it is
    yours, unset BANYAN_BACKUP_PASSPHRASE."""


class Seal:
    """The keys of one backup."""

    def __init__(self, passphrase: str, salt: bytes | None = None) -> None:
        self._salt = salt or os.urandom(_SALT)
        self._master = Scrypt(salt=self._salt, length=32, **_COST).derive(passphrase.encode())

    @classmethod
    def of(cls, passphrase: str, stored: bytes, name: str) -> "Seal":
        """The keys of the backup that a stored file belongs to. Raises Damaged."""
        if len(stored) < HEADER or not stored.startswith(_MAGIC):
            raise Damaged(name, "does not begin as an encrypted file of ours does")
        return cls(passphrase, stored[len(_MAGIC) : HEADER])

    async def seal(self, name: str, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        cipher = self._cipher(name)
        yield _MAGIC + self._salt
        waiting, frames = bytearray(), 0
        async for chunk in chunks:
            waiting += chunk
            while len(waiting) > _FRAME:  # the last frame is never empty unless all is
                yield cipher.encrypt(_nonce(frames, last=False), bytes(waiting[:_FRAME]), _MAGIC)
                del waiting[:_FRAME]
                frames += 1
        yield cipher.encrypt(_nonce(frames, last=True), bytes(waiting), _MAGIC)

    async def unseal(self, name: str, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Raises PassphraseWrong."""
        cipher = self._cipher(name)
        waiting, frames, headed = bytearray(), 0, False
        try:
            async for chunk in chunks:
                waiting += chunk
                if not headed and len(waiting) >= HEADER:
                    if waiting[:HEADER] != _MAGIC + self._salt:
                        raise PassphraseWrong
                    del waiting[:HEADER]
                    headed = True
                while headed and len(waiting) > _FRAME + _TAG:
                    yield cipher.decrypt(_nonce(frames, last=False), bytes(waiting[: _FRAME + _TAG]), _MAGIC)
                    del waiting[: _FRAME + _TAG]
                    frames += 1
            if not headed:
                raise PassphraseWrong
            yield cipher.decrypt(_nonce(frames, last=True), bytes(waiting), _MAGIC)
        except (InvalidTag, ValueError) as fault:
            raise PassphraseWrong from fault

    def _cipher(self, name: str) -> AESGCM:
        kdf = HKDF(algorithm=hashes.SHA256(), length=32, salt=self._salt, info=b"banyan backup " + name.encode())
        return AESGCM(kdf.derive(self._master))


def _nonce(frame: int, *, last: bool) -> bytes:
    return frame.to_bytes(11, "big") + bytes([last])
