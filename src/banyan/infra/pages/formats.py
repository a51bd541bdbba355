"""Money, numbers, dates and durations as people of a language write them."""

from datetime import datetime, timedelta, timezone

from babel.dates import format_date, format_datetime

from banyan.infra.pages.reader import Locale

KOREA = timezone(timedelta(hours=9), "KST")  # the market's clock; without daylight saving, so no zone data is needed


class Formats:
    """The formats of one locale; `filters` is what templates call them by."""

    def __init__(self, locale: Locale) -> None:
        self._locale = locale
        self.filters = {
            "won": self.won,
            "number": self.number,
            "date": self.date,
            "moment": self.moment,
            "duration": self.duration,
        }

    def won(self, amount: int) -> str:
        return f"₩{amount:,}"

    def number(self, value: int) -> str:
        return f"{value:,}"

    def date(self, at: datetime) -> str:
        return format_date(at.astimezone(KOREA), "long", locale=self._locale)

    def moment(self, at: datetime) -> str:
        return format_datetime(at.astimezone(KOREA), "medium", locale=self._locale)

    def duration(self, seconds: int) -> str:
        """`1시간 20분`, `1 hr 20 min`; below a minute in seconds."""
        hour, minute, second = ("시간", "분", "초") if self._locale == "ko" else (" hr", " min", " sec")
        if seconds < 60:
            return f"{seconds}{second}"
        hours, minutes = divmod(round(seconds / 60), 60)
        parts = [f"{hours:,}{hour}" if hours else "", f"{minutes}{minute}" if minutes else ""]
        return " ".join(part for part in parts if part)
