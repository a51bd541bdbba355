"""`monitor`, as the console and the command line call it: on its own socket, so that Envoy may be dead."""

from urllib.parse import quote

from banyan.contracts.monitor import AlertPage, LogPage, Now, Trace, TraceList, Trial
from banyan.infra.http_client import HttpClient
from banyan.infra.settings import Settings

PATIENCE_SECONDS = 2.0
_SLOW_SECONDS = 8.0


class MonitorClient:
    """Raises ServiceAway where monitor does not answer in time, and ServiceRefused."""

    def __init__(self, settings: Settings, *, patience: float = PATIENCE_SECONDS) -> None:
        socket = settings.socket("monitor")
        self._http = HttpClient(socket, "monitor", timeout=patience)
        # What reads files, or asks others in turn; it gives up by itself before this.
        self._slowly = HttpClient(socket, "monitor", timeout=max(patience, _SLOW_SECONDS))

    async def now(self) -> Now:
        return await self._http.get("/now", Now)

    async def traces(
        self, *, limit: int = 20, min_ms: float = 0.0, process: str = "", errors: bool = False, request_id: str = ""
    ) -> TraceList:
        """The slowest first; `errors` leaves out what went well."""
        asked = {"limit": str(limit), "min_ms": str(min_ms), "process": process, "errors": "1" if errors else ""}
        asked["request_id"] = request_id
        return await self._http.get("/traces", TraceList, params=_given(asked))

    async def trace(self, trace_id: str) -> Trace:
        """Raises ServiceRefused with status 404 for one that is not (or no longer) kept."""
        return await self._http.get(f"/traces/{quote(trace_id, safe='')}", Trace)

    async def logs(
        self,
        *,
        q: str = "",
        process: str = "",
        level: str = "",
        request_id: str = "",
        after: str | None = None,
        limit: int = 50,
    ) -> LogPage:
        """The newest first. A page may be short, or empty, and still have a `next`: a search looks only so far at a
        time. `level` is the least that is shown."""
        asked = {
            "q": q,
            "process": process,
            "level": level,
            "request_id": request_id,
            "after": after or "",
            "limit": str(limit),
        }
        return await self._slowly.get("/logs", LogPage, params=_given(asked))

    async def alerts(self) -> AlertPage:
        return await self._http.get("/alerts", AlertPage)

    async def try_alerts(self) -> Trial:
        """Tell everybody whom the rules name that this is a trial."""
        return await self._slowly.call("POST", "/alerts/test", Trial)

    async def metrics(self) -> bytes:
        """Prometheus text of every process and of Envoy."""
        return await self._slowly.get("/metrics-of-all", bytes)

    async def close(self) -> None:
        await self._http.close()
        await self._slowly.close()


def _given(asked: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in asked.items() if value}
