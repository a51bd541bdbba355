"""What a context's process tells of its events and does about them, as the console and the command line ask it: on its
own socket, so that Envoy may be dead."""

from datetime import datetime
from urllib.parse import quote

from banyan.contracts.messaging import (
    DeadChoice,
    DeadOutcome,
    DeadPage,
    EventPage,
    MessagingNow,
    Rebuild,
    RebuildList,
    Replay,
    ReplayList,
    ReplayWish,
    StoredEvent,
    Unmasking,
    WholeDeadLetter,
)
from banyan.infra.http_client import HttpClient
from banyan.infra.settings import Settings

PATIENCE_SECONDS = 3.0
_SLOW_SECONDS = 15.0
_API = "/internal/messaging"


class MessagingClient:
    """`context` is the process that is asked. Raises ServiceAway where it does not answer in time, and ServiceRefused
    with its problem document."""

    def __init__(self, settings: Settings, context: str, *, patience: float = PATIENCE_SECONDS) -> None:
        socket = settings.socket(context)
        self.context = context
        self._http = HttpClient(socket, context, timeout=patience)
        # What reads the archive or counts what a replay would tell.
        self._slowly = HttpClient(socket, context, timeout=max(patience, _SLOW_SECONDS))

    async def now(self) -> MessagingNow:
        return await self._http.get(f"{_API}/now", MessagingNow)

    async def events(
        self,
        *,
        kind: str = "",
        key: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
        after: str | None = None,
        limit: int = 20,
    ) -> EventPage:
        """The newest first. `kind` is a type, with its version or without."""
        asked = {"type": kind, "key": key, "since": _time(since), "until": _time(until), "after": after or ""}
        return await self._slowly.get(f"{_API}/events", EventPage, params=_given({**asked, "limit": str(limit)}))

    async def event(self, event_id: str) -> StoredEvent:
        """Personal data masked; None where the person was erased."""
        return await self._slowly.get(f"{_API}/events/{_segment(event_id)}", StoredEvent)

    async def unmasked(self, event_id: str, look: Unmasking) -> StoredEvent:
        """The event with its personal data. Only `iam` can, and writes the look down first."""
        return await self._slowly.call("POST", f"{_API}/events/{_segment(event_id)}/unmasked", StoredEvent, body=look)

    async def stream(self, *, types: list[str], after: int = 0, limit: int = 500) -> EventPage:
        """The oldest first, from the archive where it has to be; `after` is a position."""
        asked = {"types": ",".join(types), "after": str(after), "limit": str(limit)}
        return await self._slowly.get(f"{_API}/stream", EventPage, params=_given(asked))

    async def dead(self, *, consumer: str = "", after: str | None = None, limit: int = 20) -> DeadPage:
        asked = {"consumer": consumer, "after": after or "", "limit": str(limit)}
        return await self._http.get(f"{_API}/dead", DeadPage, params=_given(asked))

    async def dead_letter(self, letter_id: int) -> WholeDeadLetter:
        return await self._http.get(f"{_API}/dead/{letter_id}", WholeDeadLetter)

    async def redrive(self, choice: DeadChoice) -> DeadOutcome:
        return await self._slowly.call("POST", f"{_API}/dead/redrive", DeadOutcome, body=choice)

    async def discard(self, choice: DeadChoice) -> DeadOutcome:
        return await self._slowly.call("POST", f"{_API}/dead/discard", DeadOutcome, body=choice)

    async def pause(self, consumer: str, *, by: str) -> None:
        await self._http.call("POST", f"{_API}/consumers/{_segment(consumer)}/pause", bytes, params={"by": by})

    async def resume(self, consumer: str, *, by: str) -> None:
        await self._http.call("POST", f"{_API}/consumers/{_segment(consumer)}/resume", bytes, params={"by": by})

    async def replay(self, wish: ReplayWish) -> Replay:
        """Begin one, or only count where it is a dry run."""
        return await self._slowly.call("POST", f"{_API}/replays", Replay, body=wish)

    async def replays(self) -> ReplayList:
        return await self._http.get(f"{_API}/replays", ReplayList)

    async def cancel_replay(self, replay_id: str) -> None:
        await self._http.call("DELETE", f"{_API}/replays/{_segment(replay_id)}", bytes)

    async def rebuild(self, consumer: str) -> Rebuild:
        return await self._slowly.call("POST", f"{_API}/rebuilds/{_segment(consumer)}", Rebuild)

    async def rebuilds(self) -> RebuildList:
        return await self._http.get(f"{_API}/rebuilds", RebuildList)

    async def cancel_rebuild(self, rebuild_id: str) -> None:
        await self._http.call("DELETE", f"{_API}/rebuilds/{_segment(rebuild_id)}", bytes)

    async def close(self) -> None:
        await self._http.close()
        await self._slowly.close()


def _time(at: datetime | None) -> str:
    return at.isoformat() if at is not None else ""


def _given(asked: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in asked.items() if value}


def _segment(text: str) -> str:
    """As one part of a path; a text that would mean another place becomes one that nothing has."""
    return quote(text, safe="") if text not in ("", ".", "..") else "none"
