"""What an alert is about: its figure, the amount in its unit, and the process to look at."""

from collections.abc import Callable

from banyan.contracts.monitor import Alert
from banyan.gateway.http.console.figures import rate, size, took

_AMOUNTS: dict[str, Callable[[float], str]] = {
    "loop_lag": took,
    "p50": took,
    "p99": took,
    "memory": lambda value: f"{value:.0f} %",
    "cpu": lambda value: f"{value:.0f} %",
    "in_flight": lambda value: f"{value:.0f} %",
    "errors": lambda value: f"{value:.0f} %",
    "used": lambda value: f"{value:.0f} %",
    "share": lambda value: f"{value:.0f} %",
    "shed": rate,
    "failures": rate,
    "free": lambda value: size(round(value)),
}


def figure(alert: Alert) -> str:
    """`process.silent`, of a rule such as `process.silent > 5s for 0s`."""
    return alert.rule.split(" ", 1)[0][:40]


def is_a_wait(alert: Alert) -> bool:
    """Whether its amount is seconds, to be said as people of a language say them."""
    return figure(alert).endswith((".silent", ".age"))


def amount(alert: Alert) -> str:
    said = _AMOUNTS.get(figure(alert).partition(".")[2])
    return said(alert.value) if said else f"{alert.value:.0f}"


def process(alert: Alert) -> str:
    """The process to look at; empty where it is about a route, a side or the machine."""
    kind = figure(alert).partition(".")[0]
    if kind in ("process", "call", "sql", "pool"):
        return alert.subject.partition(":")[0]
    if kind == "queue":
        return alert.subject.partition("-from-")[0]
    return "relay" if kind == "outbox" else ""


def other_end(alert: Alert) -> str:
    """The database or service that a process of `call`, `sql` and `pool` figures asks."""
    return alert.subject.partition(":")[2]
