"""Incidents as they begin and end, and telling of them."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog

from banyan.contracts.monitor import Alert, AlertPage, Told
from banyan.infra.settings import Settings
from banyan.monitor.adapters.papers import NoteFile, RuleFile
from banyan.monitor.adapters.telling import Message, NotTold, Teller
from banyan.monitor.domain import incidents, notices
from banyan.monitor.domain.incidents import Delivery, Incident
from banyan.monitor.domain.measures import Values
from banyan.monitor.domain.restarts import Counted
from banyan.monitor.domain.rules import Recipient

log = structlog.get_logger()

_SHOWN = timedelta(minutes=15)
_LONGEST_WAIT = timedelta(minutes=5)
_GIVE_UP = timedelta(hours=24)
_AT_A_TIME = 16


class Alerts:
    def __init__(
        self,
        settings: Settings,
        *,
        rules: RuleFile,
        notes: NoteFile,
        known: list[Incident],
        counted: Callable[[], Counted],
        teller: Teller,
    ) -> None:
        self._url = settings.url
        self._calm = timedelta(seconds=settings.alert_calm)
        self._first_wait = timedelta(seconds=settings.alert_retry)
        self._rules = rules
        self._notes = notes
        self._incidents = known
        self._counted = counted
        self._teller = teller
        self._unsaved = False
        self._telling: dict[tuple[str, Recipient], asyncio.Task[None]] = {}

    def weigh(self, values: Values, *, now: datetime) -> None:
        """What the rules say of these figures."""
        before = incidents.firing(self._incidents)
        self._incidents = incidents.step(self._incidents, self._rules.book().rules, values, calm=self._calm, now=now)
        after = incidents.firing(self._incidents)
        for key in after.keys() - before.keys():
            log.warning("alert", rule=key[0], subject=key[1], value=after[key].value)
        for key in before.keys() - after.keys():
            log.info("alert is over", rule=key[0], subject=key[1])
        self._save()

    def tell(self, *, now: datetime) -> None:
        """Begin to tell whatever is due, side by side: one who does not answer keeps no other waiting. What became of
        it is written down at once."""
        for incident, delivery in incidents.due(self._incidents, now=now):
            on_its_way = (incident.id, delivery.to)
            if on_its_way not in self._telling and len(self._telling) < _AT_A_TIME:
                task = asyncio.create_task(self._deliver(incident, delivery))
                self._telling[on_its_way] = task
                task.add_done_callback(partial(self._arrived, on_its_way))

    async def close(self) -> None:
        """What is on its way is left; it is told after the next start."""
        tasks = list(self._telling.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def try_all(self, *, now: datetime) -> list[Told]:
        """Tell everybody whom the rules name that this is a trial."""
        message = Message(
            id=f"trial-{now:%Y%m%d%H%M%S%f}",
            subject="[Banyan] This is a trial",
            body=f"Somebody tried whether alerts arrive. They do.\n\nConsole: {self._url}/_banyan/console\n",
            document={"id": "trial", "state": "trial", "text": "This is a trial.", "url": self._url},
            at=now,
        )
        everybody = self._rules.book().recipients
        return list(await asyncio.gather(*(self._try(to, message) for to in everybody)))

    def shown(self, *, now: datetime) -> list[Alert]:
        """Those that wait or fire, and for a while those that are over; the newest first."""
        living = [each for each in self._incidents if each.over_at is None or now - each.over_at < _SHOWN]
        return [notices.alert(incident) for incident in sorted(living, key=lambda each: each.since, reverse=True)]

    def page(self, *, now: datetime) -> AlertPage:
        book = self._rules.book()
        return AlertPage(self.shown(now=now), book.lines, book.faults)

    async def _deliver(self, incident: Incident, delivery: Delivery) -> None:
        message = Message(
            id=notices.delivery_id(incident, delivery),
            subject=notices.subject(incident, delivery.part),
            body=notices.body(incident, delivery.part, url=self._url),
            document=notices.document(incident, delivery.part, url=self._url),
            at=datetime.now(UTC),
        )
        fault = ""
        try:
            await self._teller.tell(delivery.to, message)
        except NotTold as why:
            fault = str(why)
            log.warning("an alert could not be told", to=delivery.to.shown, reason=fault, tries=delivery.tries + 1)
        current = next((each for each in self._incidents if each.id == incident.id), None)
        if current is None:
            return
        now = datetime.now(UTC)
        if fault:
            after = incidents.not_told(
                current,
                delivery,
                fault=fault,
                first_wait=self._first_wait,
                longest_wait=_LONGEST_WAIT,
                give_up=_GIVE_UP,
                now=now,
            )
        else:
            after = incidents.told(current, delivery, now=now)
        self._incidents = incidents.replaced(self._incidents, after)
        self._save()

    def _arrived(self, key: tuple[str, Recipient], _: object) -> None:
        self._telling.pop(key, None)

    async def _try(self, to: Recipient, message: Message) -> Told:
        try:
            await self._teller.tell(to, message)
        except NotTold as why:
            return Told(to.shown, str(why))
        return Told(to.shown)

    def _save(self) -> None:
        try:
            self._notes.save(self._incidents, self._counted())
        except OSError as fault:
            if not self._unsaved:
                log.error("alerts cannot be written down", reason=fault.strerror)
            self._unsaved = True
        else:
            self._unsaved = False
