"""A course's cover: layered leaves in the hue of its category, the same for ever for the same slug."""

from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b
from math import cos, radians, sin
from random import Random

from banyan.infra.pages import Drawing

WIDTH = 320
HEIGHT = 180
HUES = 24  # steps of 15 degrees; `covers.css` knows each by its class

_CATEGORY_HUES = {
    "marketing": 4,
    "career": 6,
    "writing": 8,
    "programming": 10,
    "office": 12,
    "language": 14,
    "data": 16,
    "photo": 18,
    "music": 20,
    "design": 22,
    "art": 0,
    "cooking": 2,
}


@lru_cache(maxsize=4096)
def cover(slug: str, category: str) -> Drawing:
    """An SVG without a title: what it belongs to is written beside it."""
    seed = blake2b(slug.encode(), digest_size=8).digest()
    rng = Random(seed)  # noqa: S311 # a picture, not a secret
    composition = rng.choice((_fan, _branch, _canopy, _rosette))
    hue = (category_hue(category) + rng.choice((-1, 0, 0, 1))) % HUES
    flipped = f' transform="matrix(-1 0 0 1 {WIDTH} 0)"' if rng.random() < 0.5 else ""
    return Drawing(
        f'<svg class="cover hue-{hue}" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="xMidYMid slice"'
        f' aria-hidden="true" focusable="false"><g{flipped}>{"".join(composition(rng))}</g></svg>'
    )


def category_hue(category: str) -> int:
    known = _CATEGORY_HUES.get(category)
    return known if known is not None else blake2b(category.encode(), digest_size=1).digest()[0] % HUES


def _fan(rng: Random) -> Iterator[str]:
    """Leaves fanning out of a corner, the short and dark ones in front."""
    for count, length, tones in ((7, 330, "ab"), (6, 245, "bc"), (4, 165, "cd")):
        shift = rng.uniform(-6, 6)
        for index in range(count):
            angle = -98 + shift + index * 104 / (count - 1) + rng.uniform(-4, 4)
            yield _leaf(-16, 198, angle, length * rng.uniform(0.84, 1.08), length * 0.15, tones[index % 2])
    yield _leaf(-16, 198, -45 + rng.uniform(-20, 20), 210, 27, "spark")


def _branch(rng: Random) -> Iterator[str]:
    """A branch from the lower left to the upper right, with leaves on both sides, smaller towards its tip."""
    rise = rng.uniform(-128, -96)
    marked = rng.randrange(3, 9)
    points = [(-24 + along * 33, 168 + along * rise / 10 + 14 * sin(along / 2)) for along in range(11)]
    yield f'<path class="stem" d="M{" ".join(f"{x:.0f} {y:.0f}" for x, y in points)}"/>'
    for index, (x, y) in enumerate(points):
        size = 136 - 6 * index
        angle = -20 + (-1 if index % 2 else 1) * rng.uniform(44, 60)
        tone = "spark" if index == marked else "abcd"[(index * 2 + rng.randrange(2)) % 4]
        yield _leaf(x, y, angle, size * rng.uniform(0.9, 1.12), size * 0.23, tone)
    yield _leaf(*points[-1], -18, 80, 17, "d")


def _canopy(rng: Random) -> Iterator[str]:
    """Leaves hanging from above in three rows, the nearest row shortest and darkest."""
    spark = rng.randrange(2, 6)
    for number, (count, length, tones) in enumerate(((6, 178, "ab"), (7, 128, "bc"), (8, 80, "cd"))):
        for index in range(count):
            x = (index + 0.5 + rng.uniform(-0.2, 0.2)) * WIDTH / count
            tone = "spark" if number == 1 and index == spark else tones[index % 2]
            yield _leaf(x, -16, 90 + rng.uniform(-17, 17), length * rng.uniform(0.78, 1.1), length * 0.2, tone)


def _rosette(rng: Random) -> Iterator[str]:
    """A plant seen from above, off the middle, in three rings."""
    x, y = rng.uniform(190, 240), rng.uniform(70, 115)
    for count, length, tones in ((11, 205, "ab"), (9, 132, "bc"), (7, 76, "cd")):
        turn = rng.uniform(0, 360)
        for index in range(count):
            angle = turn + index * 360 / count + rng.uniform(-5, 5)
            yield _leaf(x, y, angle, length * rng.uniform(0.88, 1.08), length * 0.2, tones[index % 2])
    yield _leaf(x, y, rng.uniform(150, 210), 70, 14, "spark")


def _leaf(x: float, y: float, angle: float, length: float, width: float, tone: str) -> str:
    """A leaf from its stem at (x, y), with its vein; whole numbers are exact enough at this size."""
    ahead_x, ahead_y = cos(radians(angle)) * length, sin(radians(angle)) * length
    aside_x, aside_y = -sin(radians(angle)) * width, cos(radians(angle)) * width

    def by(ahead: float, aside: float) -> str:
        across, down = round(ahead * ahead_x + aside * aside_x), round(ahead * ahead_y + aside * aside_y)
        return f"{across}{'' if down < 0 else ' '}{down}"

    stem = f"M{x:.0f} {y:.0f}"
    outline = f"{stem}q{by(0.4, 1.45)} {by(1, 0)}q{by(-0.6, -1.45)} {by(-1, 0)}"
    return f'<path class="{tone}" d="{outline}"/><path class="v" d="{stem}l{by(0.88, 0)}"/>'
