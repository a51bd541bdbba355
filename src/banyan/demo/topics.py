"""What the demo company teaches: topics and the angles they are taught from, read from the TOML files beside this."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

Language = Literal["ko", "en"]
Level = Literal["beginner", "intermediate", "advanced"]

LEVELS: tuple[Level, ...] = ("beginner", "intermediate", "advanced")


@dataclass(frozen=True, slots=True)
class Flagship:
    """A course that was named by hand."""

    title: str
    summary: str
    level: Level


@dataclass(frozen=True, slots=True)
class Angle:
    """One way to teach any topic; `{name}` in its texts stands for the topic."""

    title: str
    summary: str
    about: str
    level: Level
    section: str
    lessons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Topic:
    name: str
    category: str
    about: tuple[str, ...]
    flagships: tuple[Flagship, ...]
    outcomes: tuple[str, ...]
    sections: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Programme:
    """Everything taught in one language. Each topic has as many flagships as the others."""

    language: Language
    topics: tuple[Topic, ...]
    angles: tuple[Angle, ...]

    @property
    def rounds(self) -> int:
        """How many different courses one topic yields before editions begin."""
        return len(self.topics[0].flagships) + len(self.angles)


@cache
def programme(language: Language) -> Programme:
    """The topics and angles of one language."""
    topics: list[Topic] = []
    angles: list[Angle] = []
    folder = resources.files(__package__) / "programme" / language
    for file in sorted(folder.iterdir(), key=lambda found: found.name):
        if file.name.endswith(".toml"):
            content = tomllib.loads(file.read_text("utf-8"))
            topics += [_topic(entry) for entry in content.get("topic", [])]
            angles += [_angle(entry) for entry in content.get("angle", [])]
    return Programme(language, tuple(_alternate(topics)), tuple(angles))


def _topic(entry: dict[str, Any]) -> Topic:
    return Topic(
        name=entry["name"],
        category=entry["category"],
        about=tuple(entry["about"]),
        flagships=tuple(Flagship(title, summary, level) for title, summary, level in entry["flagships"]),
        outcomes=tuple(entry["outcomes"]),
        sections=tuple((title, tuple(lessons)) for title, lessons in entry["sections"].items()),
    )


def _angle(entry: dict[str, Any]) -> Angle:
    return Angle(
        title=entry["title"],
        summary=entry["summary"],
        about=entry["about"],
        level=entry["level"],
        section=entry["section"],
        lessons=tuple(entry["lessons"]),
    )


def _alternate(topics: list[Topic]) -> list[Topic]:
    """Topics dealt out category by category, so that a page of courses is a mixed one."""
    piles: dict[str, list[Topic]] = {}
    for topic in topics:
        piles.setdefault(topic.category, []).append(topic)
    dealt: list[Topic] = []
    while len(dealt) < len(topics):
        dealt += [pile.pop(0) for pile in piles.values() if pile]
    return dealt
