"""Passwords, hashed by argon2id in a few slow threads; what other systems hashed is verified and then replaced."""

import asyncio
import base64
import hashlib
import hmac
import os
import secrets
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import bcrypt
from passlib.hash import phpass
from pwdlib.hashers.argon2 import Argon2Hasher

from banyan.iam.domain import TooBusy

T = TypeVar("T")

_NICENESS = 5
_BCRYPT_SEES = 72  # bytes; PHP cuts the rest off without a word
_LONGEST = 4096


class Passwords:
    """At most `threads` are hashed at once and `waiting` may wait; more are refused at once with TooBusy.

    Every check costs one argon2id, whoever asks about whom: a stranger learns nothing from the time it takes.
    """

    def __init__(self, *, threads: int, waiting: int) -> None:
        # OWASP's first choice for argon2id: 19 MiB, two passes.
        self._argon2 = Argon2Hasher(time_cost=2, memory_cost=19_456, parallelism=1)
        self._nobody = self._argon2.hash(secrets.token_urlsafe(16))
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="password", initializer=_give_way)
        self._seats = threads + waiting
        self.taken = 0
        self.verifications = 0

    async def hash(self, password: str) -> str:
        """Raises TooBusy."""
        return await self._in_thread(lambda: self._argon2.hash(_normal(password)))

    async def verify(self, password: str, known: str | None) -> tuple[bool, str | None]:
        """Whether the password fits, and a new hash if it does and the known one is of the old ways.

        `known` is None for an account that does not exist, or that has no password yet. Raises TooBusy.
        """
        return await self._in_thread(lambda: self._verify(password, known))

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, password: str, known: str | None) -> tuple[bool, str | None]:
        self.verifications += 1
        usable = len(password) <= _LONGEST and "\x00" not in password
        if known is not None and known.startswith("$argon2id$"):
            fits = self._argon2.verify(_normal(password), known) and usable
            return fits, self._argon2.hash(_normal(password)) if fits and self._argon2.check_needs_rehash(
                known
            ) else None
        if known is not None and usable and _fits_old_hash(password, known):
            return True, self._argon2.hash(_normal(password))
        self._argon2.verify(_normal(password), self._nobody)
        return False, None

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self.taken >= self._seats:
            raise TooBusy
        self.taken += 1
        future = asyncio.get_running_loop().run_in_executor(self._threads, work)
        # Not in a `finally` here: a caller that goes away leaves the thread at work, and its seat is still taken.
        future.add_done_callback(self._leave)
        return await asyncio.shield(future)

    def _leave(self, future: "asyncio.Future[T]") -> None:
        self.taken -= 1
        if not future.cancelled():
            future.exception()


def _give_way() -> None:
    """Let everybody else's requests go before the hashing."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


def _normal(password: str) -> bytes:
    """One form of Hangul, whichever keyboard typed it."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")


def _fits_old_hash(password: str, known: str) -> bool:
    """WordPress's hashes: phpass until 6.7, bcrypt of an HMAC from 6.8 on; and PHP's own bcrypt."""
    given = password.encode("utf-8", "surrogatepass")
    try:
        if known.startswith(("$P$", "$H$")):
            return bool(phpass.verify(given, known))
        if known.startswith("$wp$2y$"):
            mac = hmac.digest(
                b"wp-sha384", password.strip(" \t\n\r\v").encode("utf-8", "surrogatepass"), hashlib.sha384
            )
            return bcrypt.checkpw(base64.b64encode(mac), known[3:].encode())
        if known.startswith(("$2y$", "$2b$", "$2a$")):
            return bcrypt.checkpw(given[:_BCRYPT_SEES], known.encode())
    except (ValueError, TypeError, IndexError):
        return False
    return False
