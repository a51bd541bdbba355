"""Where somebody is signed in, as they would say it themselves."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from banyan.contracts.iam import Session

_BROWSERS = (
    ("edg", "Edge"),
    ("samsungbrowser", "Samsung Internet"),
    ("whale", "Whale"),
    ("firefox", "Firefox"),
    ("fxios", "Firefox"),
    ("crios", "Chrome"),
    ("chrom", "Chrome"),
    ("safari", "Safari"),
    ("curl", "curl"),
)
_SYSTEMS = (
    ("iphone", "iPhone"),
    ("ipad", "iPad"),
    ("android", "Android"),
    ("windows", "Windows"),
    ("mac os", "Mac"),
    ("cros", "ChromeOS"),
    ("linux", "Linux"),
)
_PHONES = ("iphone", "android", "mobile")


@dataclass(frozen=True, slots=True)
class SessionView:
    id: str
    browser: str
    system: str
    phone: bool
    address: str
    current: bool
    created_at: datetime
    last_seen_at: datetime


def session_views(sessions: Iterable[Session]) -> list[SessionView]:
    """The one at hand first, then the last used ones."""
    views = [_view(session) for session in sessions]
    return sorted(views, key=lambda view: (not view.current, -view.last_seen_at.timestamp()))


def _view(session: Session) -> SessionView:
    agent = session.device.lower()
    return SessionView(
        id=session.id,
        browser=next((name for sign, name in _BROWSERS if sign in agent), ""),
        system=next((name for sign, name in _SYSTEMS if sign in agent), ""),
        phone=any(sign in agent for sign in _PHONES),
        address=session.address,
        current=session.current,
        created_at=session.created_at,
        last_seen_at=session.last_seen_at,
    )
