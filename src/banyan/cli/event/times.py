"""Times as operators write them, and as they read them."""

import re
from datetime import UTC, datetime, timedelta

import typer

_AGO = re.compile(r"(\d{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
FORMS = "2026-11-01, 2026-11-01T09:30 (UTC), 2026-11-01T09:30+09:00, or 2h, 3d ago"


def moment(text: str) -> datetime:
    """An ISO date or time, UTC where it names no offset; or how long ago. Raises typer.BadParameter."""
    ago = _AGO.fullmatch(text.strip())
    try:
        if ago is not None:
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        at = datetime.fromisoformat(text.strip())
        return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"'{text}' is no time. Write {FORMS}.") from None


def read(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def span(seconds: float) -> str:
    """About how long: `40 s`, `12 min`, `3 h`, `2 d`."""
    for most, unit, size in ((120, "s", 1), (7200, "min", 60), (172_800, "h", 3600)):
        if seconds < most:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"
