"""What Envoy believes of iam: public keys, and the sessions that are over. The last known ones outlive iam."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from banyan.contracts import iam as wire
from banyan.gateway.adapters import envoy, worlds
from banyan.gateway.adapters.admin import Admin, EnvoyAway, UpdateRejected
from banyan.gateway.adapters.files import Files, document, write
from banyan.gateway.domain import identities
from banyan.gateway.domain.bootstraps import ADMIN_SOCKET
from banyan.gateway.domain.routes import SnapshotRefused
from banyan.gateway.domain.snapshot import content_version
from banyan.gateway.domain.world import Config
from banyan.infra import identity
from banyan.infra.http_client import HttpClient, ServiceAway, ServiceRefused
from banyan.infra.settings import Settings

log = structlog.get_logger()

_ANSWER_SECONDS = 1.0
_NOT_HAD = (ServiceAway, ServiceRefused, SnapshotRefused, JoseError, ValueError)

Name = Literal["jwt", "rev"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What iam said last."""

    jwks: str = identities.NO_KEYS
    ended: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    name: Name
    path: Path
    version: str
    text: bytes


class Trust:
    """iam is asked on its own socket, so that Envoy starts with today's keys and without yesterday's sessions."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = envoy.folder(settings)
        self._files = Files(self._folder)
        self._file = self._folder / "identity.json"
        self._admin = Admin(settings.run / ADMIN_SOCKET)
        self._iam = HttpClient(settings.socket("iam"), "iam", timeout=_ANSWER_SECONDS, limit=2)
        self._known: Known | None = None
        self._wanted: list[_File] = []
        self._public: dict[str, ECKey] = {}
        self._read_from = identities.NO_KEYS
        self._refused: set[str] = set()
        self._complaints: list[str] = []

    async def prepare(self) -> None:
        """Write the files for an Envoy that is about to start; the caller holds their lock. Raises SettingError."""
        known = await self._ask(self._load())
        self._save(known)
        for file in self._files_for(known):
            write(file.path, file.text)
        await self.close()

    async def keep(self) -> None:
        """Have Envoy know what iam says now. What iam does not say stays as it is."""
        before = self._load() if self._known is None else self._known
        known = await self._ask(before)
        if self._known is None or known != before:
            async with self._files.locked():
                self._save(known)
            self._wanted = self._files_for(known)
            self._known = known
        serving = await self._admin.versions()
        for file in self._wanted:
            if file.version not in self._refused and serving.get(file.name) != file.version:
                async with self._files.locked():
                    await self._hand_over(file)

    async def find(self, kid: str) -> ECKey | None:
        """The key of that id, for the console's own look at tokens."""
        known = self._load() if self._known is None else self._known
        if known.jwks != self._read_from:
            self._public = identity.public_keys(known.jwks)
            self._read_from = known.jwks
        return self._public.get(kid)

    def is_over(self, session_id: str) -> bool:
        """Whether iam has said that this session has ended before its token did."""
        known = self._load() if self._known is None else self._known
        return session_id in known.ended

    async def close(self) -> None:
        await self._iam.close()

    async def _ask(self, known: Known) -> Known:
        """What cannot be had, or is not what it must be, stays as it was known."""
        jwks, ended, complaints = known.jwks, known.ended, list[str]()
        try:
            jwks = await self._keys()
        except _NOT_HAD as fault:
            complaints.append(repr(fault))
        try:
            ended = await self._ended()
        except _NOT_HAD as fault:
            complaints.append(repr(fault))
        self._complain(complaints)
        return Known(jwks=jwks, ended=ended)

    async def _keys(self) -> str:
        jwks = (await self._iam.get("/internal/keys", wire.Keys)).jwks
        public = identities.public_keys(jwks)
        identity.public_keys(public)  # raises for points that are on no curve, and for no key at all
        identity.remember_keys(self._settings, public)
        return public

    async def _ended(self) -> tuple[str, ...]:
        items = (await self._iam.get("/internal/revoked-sessions", wire.RevokedSessions)).items
        identities.ended(items)
        return tuple(sorted(set(items)))

    def _complain(self, complaints: list[str]) -> None:
        if complaints and complaints != self._complaints:
            log.warning("iam's keys or ended sessions cannot be had; the last known ones count", reasons=complaints)
        self._complaints = complaints

    def _files_for(self, known: Known) -> list[_File]:
        world = worlds.world(self._settings)
        return [
            self._file_of("jwt", identities.tokens(world, known.jwks)),
            self._file_of("rev", identities.ended(known.ended)),
        ]

    def _file_of(self, name: Name, config: Config) -> _File:
        version = content_version([config])
        return _File(
            name=name,
            path=Path(identities.folder(str(self._folder), name)) / f"{name}.json",
            version=version,
            text=document(version, [identities.resource(name, config)]),
        )

    async def _hand_over(self, file: _File) -> None:
        former = file.path.read_bytes() if file.path.exists() else None
        if former == file.text and not await self._admin.ready():
            return  # Envoy reads it when it is back
        try:
            before = await self._admin.counters()
            write(file.path, file.text)
            await self._admin.confirm(file.name, file.version, before=before)
        except EnvoyAway:
            write(file.path, file.text)
        except UpdateRejected as rejected:
            self._refused.add(file.version)
            if former is not None:
                write(file.path, former)
            log.error("Envoy goes on with the last good one", filter=file.name, reason=str(rejected))

    def _load(self) -> Known:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Known)
        except (FileNotFoundError, UnicodeDecodeError, msgspec.DecodeError):
            return Known()

    def _save(self, known: Known) -> None:
        write(self._file, msgspec.json.encode(known))
