"""Course cards as they stand in a list: drawn once for each language, as long as the course's facts stay the same."""

from collections.abc import Callable
from functools import lru_cache

from markupsafe import Markup

from banyan.contracts.learning import CourseCard
from banyan.infra.pages import Locale, Pages

_CARDS_KEPT = 2048

DrawCard = Callable[[CourseCard, Locale, str], Markup]


def card_drawer(shown: Pages) -> DrawCard:
    """Draws a card for readers of a locale, its title as the heading (`h2`, `h3`) that fits the page."""

    @lru_cache(maxsize=_CARDS_KEPT)
    def draw(course: CourseCard, locale: Locale, heading: str) -> Markup:
        return shown.macro(locale, "card.html", "card")(course, locale, heading)

    return draw
