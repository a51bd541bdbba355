"""Who answers a request, and the route entries that say so."""

from dataclasses import dataclass

from banyan.gateway.domain import clusters, matching
from banyan.gateway.domain.routes import Side
from banyan.gateway.domain.world import Config, World, seconds, typed

SIDE_HEADER = "x-banyan-side"
COOKIE_FILTER = "banyan.cookies"

# Nothing of a request that failed so has been acted upon.
_UNSENT = "connect-failure,refused-stream,reset-before-request"
_SAFE = "connect-failure,refused-stream,reset"


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A cluster on one side. `idle` bounds silence, `timeout` (0: none) the whole answer."""

    cluster: Config
    side: Side
    timeout: float
    idle: float
    stream_idle: float
    retries: int
    host: str = ""
    rewrite: tuple[str, str] | None = None
    said: str = ""
    """Who the answer says it is from, where that is not its side."""

    @property
    def cluster_name(self) -> str:
        return str(self.cluster["name"])

    def entries(self, name: str, match: Config, methods: tuple[str, ...] = ()) -> list[Config]:
        """The entries that send what matches here: long streams, then what may be asked twice, then the rest."""
        if methods and "GET" not in methods:
            match = matching.with_headers(match, matching.has_method(*methods))
            return [self._stream(name, match), self._whole(name, match, _UNSENT)]
        safe = matching.with_headers(match, matching.has_method("GET", "HEAD"))
        found = [self._stream(name, safe if methods else match), self._whole(name, safe, _SAFE)]
        if not methods:
            found.append(self._whole(name, match, _UNSENT))
        return found

    def _stream(self, name: str, match: Config) -> Config:
        streams = matching.with_headers(match, matching.is_stream())
        return self._entry(name, streams, timeout=0, idle=self.stream_idle, retry_on=_UNSENT)

    def _whole(self, name: str, match: Config, retry_on: str) -> Config:
        return self._entry(name, match, timeout=self.timeout, idle=self.idle, retry_on=retry_on)

    def _entry(self, name: str, match: Config, *, timeout: float, idle: float, retry_on: str) -> Config:
        action: Config = {
            "cluster": self.cluster_name,
            "timeout": seconds(timeout),
            "idle_timeout": seconds(idle),
            "retry_policy": {
                "retry_on": retry_on,
                "num_retries": self.retries,
                "retry_back_off": {"base_interval": "0.010s", "max_interval": "0.250s"},
            },
        }
        if self.host:
            action["host_rewrite_literal"] = self.host
        if self.rewrite:
            pattern, substitution = self.rewrite
            action["regex_rewrite"] = {"pattern": {"regex": pattern}, "substitution": substitution}
        entry: Config = {
            "name": name,
            "match": match,
            "route": action,
            "response_headers_to_add": [_side(self.said or self.side)],
        }
        if self.side == "new":
            entry["typed_per_filter_config"] = {
                COOKIE_FILTER: typed("extensions.filters.http.lua.v3.LuaPerRoute", disabled=True)
            }
        return entry


def old(name: str, world: World) -> Destination | None:
    """The old site for the route of that name; None without an old site."""
    site = world.old_site
    if site is None:
        return None
    return Destination(
        cluster=clusters.old(f"old~{name}", world, site),
        side="old",
        timeout=0,
        idle=world.legacy_timeout,
        stream_idle=max(world.stream_idle, world.legacy_timeout),
        retries=1,
        host=site.host,
    )


def new(
    name: str, world: World, service: str, *, timeout: float | None = None, rewrite: tuple[str, str] | None = None
) -> Destination:
    """A service of ours for the route of that name."""
    limit = world.new_timeout if timeout is None else timeout
    return Destination(
        cluster=clusters.new(f"new~{name}", world, service),
        side="new",
        timeout=limit,
        idle=max(limit, world.new_timeout) + 1,
        stream_idle=world.stream_idle,
        retries=2,
        rewrite=rewrite,
        said="gateway" if service == "gateway" else "",
    )


def _side(side: str) -> Config:
    return {"header": {"key": SIDE_HEADER, "value": side}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
