"""All that the gateway's configuration depends on beside the route table."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Config: TypeAlias = dict[str, object]
"""A piece of Envoy's configuration, as JSON has it."""

OWNER_ONLY = 0o600

SERVICES = ("gateway", "iam", "learning", "live", "web")
"""Who answers on the new side, each on its own Unix socket."""

ROW_SERVICES = ("gateway", "learning", "web")
"""Whom a row of the table may name. What others have beside their API is nobody's business at the front door."""

API_OWNERS = {
    "accounts": "iam",
    "session": "iam",
    "sessions": "iam",
    "me": "iam",
    "password-resets": "iam",
    "courses": "learning",
    "enrolments": "learning",
    "lessons": "learning",
}
"""Which service answers `/api/v1/NAME`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OldSite:
    """Where the old site listens: a Unix socket, or an address with or without TLS.

    `host` is the Host header it gets instead of the public one; `verified_name` is the name its certificate must have.
    """

    socket: str = ""
    address: str = ""
    port: int = 0
    is_ip: bool = False
    tls: bool = False
    verified_name: str = ""
    ca: str = ""
    host: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What surrounds the table: addresses, sockets, files, limits. Durations are seconds."""

    host: str
    port: int
    public_url: str
    tls_cert: str
    tls_key: str
    old_site: OldSite | None
    services: dict[str, str]
    monitor: str
    traced: bool
    run: str
    folder: str
    access_log: Literal["all", "errors", "off"]
    access_log_path: str
    trusted_hops: int
    legacy_timeout: float
    legacy_connect_timeout: float
    legacy_idle: float
    stream_idle: float
    new_timeout: float
    clock_skew: float = 5.0

    @property
    def public_host(self) -> str:
        """Host and port that browsers ask for."""
        return self.public_url.split("://", 1)[1]

    @property
    def public_scheme(self) -> str:
        return self.public_url.split("://", 1)[0]


def seconds(duration: float) -> str:
    """A duration as Envoy writes it; 0 means never."""
    return f"{duration:.3f}s"


def typed(name: str, /, **fields: object) -> Config:
    """A configuration that names its own type."""
    return {"@type": f"type.googleapis.com/envoy.{name}", **fields}
