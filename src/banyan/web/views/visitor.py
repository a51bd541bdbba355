"""Who reads a page, as its header shows them: all of it from the token, without asking anybody."""

from dataclasses import dataclass

from banyan.infra.identity import Caller
from banyan.web.views.covers import category_hue


@dataclass(frozen=True, slots=True)
class Visitor:
    name: str
    initial: str
    hue: int


def visitor(caller: Caller | None) -> Visitor | None:
    if caller is None:
        return None
    return Visitor(name=caller.name, initial=caller.name[:1], hue=category_hue(caller.account_id))
