"""The demo company's people. Person k is the same however many there are."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from typing import Literal
from uuid import UUID, uuid5

from banyan.demo.dice import dice

Role = Literal["learner", "instructor", "admin", "operator"]

PASSWORD = "banyan-demo"  # noqa: S105 # well known on purpose; the demo runs on loopback only
DOMAIN = "banyan.test"

NAMESPACE = UUID("6ba79a1e-5f0e-5d57-9c8c-0b6e5a7d1f02")
"""Of the ids that follow from numbers: the same in every service, without their talking to each other."""

OPENED = datetime(2012, 3, 5, tzinfo=UTC)
TODAY = datetime(2025, 6, 30, tzinfo=UTC)
"""The demo's last day: nothing in it happened later."""

FIRST_INSTRUCTOR = 5
KOREAN_INSTRUCTORS = 24
ENGLISH_INSTRUCTORS = 12
FIRST_LEARNER = FIRST_INSTRUCTOR + KOREAN_INSTRUCTORS + ENGLISH_INSTRUCTORS
FEWEST_PEOPLE = FIRST_LEARNER + 9


@dataclass(frozen=True, slots=True)
class DemoPerson:
    number: int
    email: str
    name: str
    role: Role
    joined: datetime


def people(count: int = 2000) -> list[DemoPerson]:
    """The first `count` people: the four named ones, the instructors, then learners."""
    if count < FEWEST_PEOPLE:
        raise ValueError(f"The demo company has at least {FEWEST_PEOPLE} people, not {count}.")
    return [person(number) for number in range(1, count + 1)]


def person(number: int) -> DemoPerson:
    """The person with this number, from 1."""
    if number <= len(_NAMED):
        named, called = _NAMED[number - 1]
        return DemoPerson(number, f"{named}@{DOMAIN}", called, named, OPENED)
    rng = dice("person", number)
    role: Role = "instructor" if number < FIRST_LEARNER else "learner"
    if _is_korean(number, rng):
        family, given = rng.choices(_FAMILIES, _FAMILY_WEIGHTS)[0], rng.choice(_GIVEN)
        name, account = family[0] + given[0], f"{given[1]}.{family[1]}"
    else:
        family_name, given_name = rng.choice(_ENGLISH_FAMILIES), rng.choice(_ENGLISH_GIVEN)
        name, account = f"{given_name} {family_name}", f"{given_name}.{family_name}".lower()
    joined = OPENED if role == "instructor" else joined_on(number)
    return DemoPerson(number, f"{account}.{number}@{DOMAIN}", name, role, joined)


@cache
def account_id(number: int) -> str:
    """The id of this person's account, wherever it is known."""
    return str(uuid5(NAMESPACE, f"person {number}"))


def joined_on(number: int) -> datetime:
    """When a learner joined; arithmetic only, because it is asked once for every enrolment."""
    share = (number * 2654435761 % 2**32) / 2**32
    seconds = int((TODAY - OPENED).total_seconds() * share**0.6)  # the company grew: more joined late than early
    return OPENED + timedelta(seconds=seconds)


def _is_korean(number: int, rng: Random) -> bool:
    if number < FIRST_LEARNER:
        return number < FIRST_INSTRUCTOR + KOREAN_INSTRUCTORS
    return rng.random() < 0.85


_NAMED: tuple[tuple[Role, str], ...] = (
    ("learner", "김하늘"),
    ("instructor", "박서연"),
    ("admin", "이도윤"),
    ("operator", "최은호"),
)

_FAMILIES = (
    ("김", "kim"),
    ("이", "lee"),
    ("박", "park"),
    ("최", "choi"),
    ("정", "jung"),
    ("강", "kang"),
    ("조", "cho"),
    ("윤", "yoon"),
    ("장", "jang"),
    ("임", "lim"),
    ("한", "han"),
    ("오", "oh"),
    ("서", "seo"),
    ("신", "shin"),
    ("권", "kwon"),
    ("황", "hwang"),
    ("안", "ahn"),
    ("송", "song"),
    ("남궁", "namgung"),
    ("선우", "sunwoo"),
)
_FAMILY_WEIGHTS = (21, 15, 8, 5, 5, 3, 3, 3, 3, 3, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1)

_GIVEN = (
    ("민준", "minjun"),
    ("서준", "seojun"),
    ("예준", "yejun"),
    ("도현", "dohyun"),
    ("지호", "jiho"),
    ("현우", "hyunwoo"),
    ("준서", "junseo"),
    ("건우", "gunwoo"),
    ("우진", "woojin"),
    ("선우", "sunwoo"),
    ("유준", "yujun"),
    ("정민", "jungmin"),
    ("승현", "seunghyun"),
    ("태윤", "taeyun"),
    ("재원", "jaewon"),
    ("성훈", "sunghoon"),
    ("서윤", "seoyun"),
    ("지우", "jiwoo"),
    ("서현", "seohyun"),
    ("하은", "haeun"),
    ("하윤", "hayun"),
    ("민서", "minseo"),
    ("지유", "jiyu"),
    ("채원", "chaewon"),
    ("수아", "sua"),
    ("다은", "daeun"),
    ("소율", "soyul"),
    ("예린", "yerin"),
    ("은지", "eunji"),
    ("가영", "gayoung"),
    ("보라", "bora"),
    ("슬기", "seulgi"),
    ("미경", "mikyung"),
    ("영숙", "youngsook"),
    ("지혜", "jihye"),
    ("아름", "areum"),
    ("진", "jin"),
    ("솔", "sol"),
)

_ENGLISH_GIVEN = (
    "Emma", "Liam", "Olivia", "Noah", "Grace", "Henry", "Alice", "Oscar", "Nina", "Theo",
    "Clara", "Hugo", "Maya", "Felix", "Ruth", "Simon", "Iris", "Daniel", "Lena", "Marcus",
    "Priya", "Arjun", "Mei", "Kenji", "Ines", "Mateo", "Zoe", "Samuel", "Hana", "Elias",
)  # fmt: skip
_ENGLISH_FAMILIES = (
    "Walker", "Bennett", "Carter", "Doyle", "Ellis", "Fischer", "Garcia", "Hughes", "Ito", "Jensen",
    "Keller", "Lambert", "Morgan", "Novak", "Okafor", "Patel", "Quinn", "Rossi", "Silva", "Turner",
    "Underwood", "Vega", "Wong", "Young", "Zimmer", "Abbott", "Brooks", "Chen", "Dubois", "Evans",
)  # fmt: skip
