"""What somebody is told of an incident, in words."""

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

from banyan.contracts.monitor import Alert
from banyan.monitor.domain.incidents import Delivery, Incident, Part
from banyan.monitor.domain.measures import FIGURES, Unit


def subject(incident: Incident, part: Part) -> str:
    return f"[Banyan] {'Over: ' if part == 'over' else ''}{sentence(incident)}"


def sentence(incident: Incident) -> str:
    """`web: process.p99 is 3.2 s (process.p99 > 3s for 11s)`."""
    return f"{incident.subject}: {_figure(incident)} is {amount(incident)} ({incident.rule})"


def body(incident: Incident, part: Part, *, url: str) -> str:
    figure = FIGURES[_figure(incident)]
    lines = [
        f"{'It is over' if part == 'over' else 'It is so'}: {sentence(incident)}.",
        f"{_figure(incident)}: {figure.about}.",
        "",
        f"since   {_moment(incident.since)}",
        f"told    {_moment(incident.fired_at)}",
    ]
    if part == "over":
        lines.append(f"over    {_moment(incident.over_at)}")
    lines += ["", f"Console: {url}/_banyan/console"]
    return "\n".join(lines) + "\n"


def delivery_id(incident: Incident, delivery: Delivery) -> str:
    """The same at every attempt, another one for everybody else."""
    to = hashlib.sha256(str(delivery.to).encode()).hexdigest()[:8]
    return f"{incident.id}-{delivery.part}-{to}"


def document(incident: Incident, part: Part, *, url: str) -> dict[str, Any]:
    """A webhook's JSON. `text` is what chat programs show."""
    return {
        "id": incident.id,
        "state": part,
        "text": f"{'Over: ' if part == 'over' else ''}{sentence(incident)}",
        "rule": incident.rule,
        "figure": _figure(incident),
        "subject": incident.subject,
        "value": incident.value,
        "since": incident.since,
        "fired_at": incident.fired_at,
        "over_at": incident.over_at if part == "over" else None,
        "url": url,
    }


def alert(incident: Incident) -> Alert:
    """As the console shows it."""
    untold = [
        f"{delivery.to.shown}: {delivery.fault}{' (given up)' if delivery.given_up else ''}"
        for delivery in incident.deliveries
        if delivery.told_at is None and delivery.fault
    ]
    told = dict.fromkeys(delivery.to.shown for delivery in incident.deliveries if delivery.told_at is not None)
    return Alert(
        rule=incident.rule,
        subject=incident.subject,
        state=incident.state,
        value=round(incident.value, 3),
        since=incident.since,
        fired_at=incident.fired_at,
        over_at=incident.over_at,
        told=list(told),
        untold=untold,
    )


def amount(incident: Incident) -> str:
    return _AMOUNTS[FIGURES[_figure(incident)].unit](incident.value)


def _figure(incident: Incident) -> str:
    return incident.rule.split()[0]


def _moment(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at is not None else "-"


def _bytes(value: float) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value:.0f} B"


def _milliseconds(value: float) -> str:
    return f"{value / 1000:.1f} s" if value >= 1000 else f"{value:.0f} ms"


_AMOUNTS: dict[Unit, Callable[[float], str]] = {
    "": lambda value: f"{value:g}",
    "ms": _milliseconds,
    "s": lambda value: f"{value:.1f} s",
    "%": lambda value: f"{value:.0f} %",
    "/s": lambda value: f"{value:.1f} a second",
    "B": _bytes,
}
