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
from banyan.gateway.adapters.files import document, write
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


class Trust:
    """iam is asked on its own socket, so that Envoy starts with today's keys and without yesterday's sessions."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = envoy.folder(settings)
        self._file = self._folder / "identity.json"
        self._admin = Admin(settings.run / ADMIN_SOCKET)
        self._iam = HttpClient(settings.socket("iam"), "iam", timeout=_ANSWER_SECONDS, limit=2)
        self._known: Known | None = None
        self._public: dict[str, ECKey] = {}
        self._read_from = identities.NO_KEYS
        self._refused: set[str] = set()
        self._complaints: list[str] = []

    async def prepare(self) -> None:
        """Write the files for an Envoy that is about to start. Raises SettingError."""
        known = await self._ask(self._load())
        self._save(known)
        for name, config in self._filters(known).items():
            path, _, text = self._rendered(name, config)
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write(path, text)
        await self.close()

    async def keep(self) -> None:
        """Have Envoy know what iam says now. What iam does not say stays as it is."""
        if self._known is None:
            self._known = self._load()
        known = await self._ask(self._known)
        if known != self._known:
            self._save(known)
            self._known = known
        for name, config in self._filters(known).items():
            await self._deliver(name, config)

    async def find(self, kid: str) -> ECKey | None:
        """The key of that id, for the console's own look at tokens."""
        known = self._load() if self._known is None else self._known
        if known.jwks != self._read_from:
            self._public = identity.public_keys(known.jwks)
            self._read_from = known.jwks
        return self._public.get(kid)

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
        return public

    async def _ended(self) -> tuple[str, ...]:
        items = (await self._iam.get("/internal/revoked-sessions", wire.RevokedSessions)).items
        identities.ended(items)
        return tuple(sorted(set(items)))

    def _complain(self, complaints: list[str]) -> None:
        if complaints and complaints != self._complaints:
            log.warning("iam's keys or ended sessions cannot be had; the last known ones count", reasons=complaints)
        self._complaints = complaints

    def _filters(self, known: Known) -> dict[Name, Config]:
        world = worlds.world(self._settings)
        return {"jwt": identities.tokens(world, known.jwks), "rev": identities.ended(known.ended)}

    async def _deliver(self, name: Name, config: Config) -> None:
        path, version, text = self._rendered(name, config)
        if version in self._refused:
            return
        serving = await self._admin.serving(name)
        former = path.read_bytes() if path.exists() else None
        if serving == version or (serving is None and former == text):
            return
        try:
            before = await self._admin.counters()
            write(path, text)
            await self._admin.confirm(name, version, before=before)
        except EnvoyAway:
            write(path, text)
        except UpdateRejected as rejected:
            self._refused.add(version)
            if former is not None:
                write(path, former)
            log.error("Envoy goes on with the last good one", filter=name, reason=str(rejected))

    def _rendered(self, name: Name, config: Config) -> tuple[Path, str, bytes]:
        path = Path(identities.folder(str(self._folder), name)) / f"{name}.json"
        version = content_version([config])
        return path, version, document(version, [identities.resource(name, config)])

    def _load(self) -> Known:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Known)
        except (FileNotFoundError, msgspec.DecodeError):
            return Known()

    def _save(self, known: Known) -> None:
        write(self._file, msgspec.json.encode(known))
