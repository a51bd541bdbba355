"""Figures as an operator reads them: short, with their unit, and still while they hardly change."""

from datetime import datetime

from banyan.infra.pages import KOREA

_MEGABYTE = 1_000_000


def rate(value: float) -> str:
    """Per second: `0`, `< 0.1`, `3.4`, `120`, `12k`."""
    if value <= 0:
        return "0"
    if value < 0.05:
        return "< 0.1"
    if value < 9.95:
        return f"{value:.1f}"
    return f"{value:.0f}" if value < 9_950 else f"{value / 1000:.0f}k"


def took(milliseconds: float | None) -> str:
    """`< 1 ms`, `45 ms`, `1.2 s`; a dash for what was not measured."""
    if milliseconds is None:
        return "–"
    if milliseconds < 1:
        return "< 1 ms"
    if milliseconds < 999.5:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    return f"{seconds:.1f} s" if seconds < 99.95 else f"{seconds:.0f} s"


def size(count: int | None) -> str:
    """Bytes as `84 MB` or `1.2 GB`; a dash for what is not known."""
    if count is None:
        return "–"
    megabytes = count / _MEGABYTE
    return f"{megabytes:.0f} MB" if megabytes < 999.5 else f"{megabytes / 1000:.1f} GB"


def share(cores: float | None) -> str:
    """Cores in percent of one; a dash for what is not known."""
    return "–" if cores is None else f"{100 * cores:.0f} %"


def clock(at: datetime) -> str:
    """The time of day, to the second."""
    return f"{at.astimezone(KOREA):%H:%M:%S}"


def since(at: datetime, now: datetime) -> str:
    """A time that does not change while it is looked at: of today the time, of earlier the date as well."""
    local, today = at.astimezone(KOREA), now.astimezone(KOREA).date()
    return f"{local:%H:%M:%S}" if local.date() == today else f"{local:%m-%d %H:%M}"
