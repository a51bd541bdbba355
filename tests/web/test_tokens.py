"""The colours of the design: every text on every ground, light and dark."""

import itertools
import re

import pytest

from banyan.infra.pages import asset_set

CSS = (asset_set.SHARED / "tokens.css").read_text()
TOKENS = {
    name: (light, dark) for name, light, dark in re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\);", CSS)
}
GROUNDS = ("bg", "surface", "sunken")
TEXTS = ("text", "muted", "primary", "accent", "danger", "info")


def _contrast(one: str, other: str) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(("text", "ground"), list(itertools.product(TEXTS, GROUNDS)))
@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_a_text_stands_out_from_its_ground(text: str, ground: str, scheme: int) -> None:
    assert _contrast(TOKENS[text][scheme], TOKENS[ground][scheme]) >= 5


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_words_on_the_primary_colour_and_edges_of_controls_stand_out(scheme: int) -> None:
    assert _contrast(TOKENS["on-primary"][scheme], TOKENS["primary"][scheme]) >= 5
    for ground in GROUNDS:
        assert _contrast(TOKENS["edge"][scheme], TOKENS[ground][scheme]) >= 3


def test_other_stylesheets_have_no_colours_of_their_own_but_the_leaves() -> None:
    for path in (asset_set.SHARED / "controls.css", asset_set.SHARED.parents[2] / "web" / "assets" / "site.css"):
        assert not re.search(r"#[0-9a-fA-F]{3,8}\b(?![^{]*\{)|rgb\(|hsl\(|oklch\(", path.read_text()), path
