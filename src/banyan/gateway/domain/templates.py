"""Path templates: how they are written, what they match, and whether two of them can match one path."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from banyan.kit.errors import Refused

RESERVED = "/_banyan"
LONGEST = 1000

_PARAMETER = re.compile(r"\{[a-z][a-z0-9_]{0,62}\}")
_UNSAFE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
_IN_PATHS = "!$&'()+,;=:@"  # what RFC 3986 allows in a segment beside the unreserved ones, without `*`
_CONFUSING = {"%2F": "an encoded slash", "%5C": "an encoded backslash", "%00": "an encoded zero byte"}


class TemplateInvalid(Refused):
    """The path is no template."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path!r} is no path template: {reason}. Examples: /courses, /courses/{{slug}}, /learn/*")


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template. In `segments` a literal is its text as it is on the wire, a parameter is None.

    `rest` says that it ends in `/*`: everything below, the bare folder `/learn/` included, `/learn` not.
    Without it, one trailing slash in the request makes no difference: `/courses` matches `/courses/`, too.
    """

    segments: tuple[str | None, ...]
    rest: bool


def normalised(path: str) -> str:
    """The one way to write a template: percent-encoded as Envoy sees it, upper-case hex, no slash at its end.

    Raises TemplateInvalid.
    """
    _check_whole(path)
    if path == "/":
        return path
    segments = path.removesuffix("/").split("/")[1:]
    written = [_segment(path, segment, last=number == len(segments)) for number, segment in enumerate(segments, 1)]
    result = "/" + "/".join(written)
    if result == RESERVED or result.startswith(RESERVED + "/"):
        raise TemplateInvalid(path, f"{RESERVED}/ is Banyan's own and always on the new side")
    return result


def parsed(path: str) -> Template:
    """The template of a normalised path."""
    segments = path.split("/")[1:] if path != "/" else []
    rest = bool(segments) and segments[-1] == "*"
    return Template(
        segments=tuple(None if segment.startswith("{") else segment for segment in segments[: len(segments) - rest]),
        rest=rest,
    )


def matches(path: str, request_path: str) -> bool:
    """Whether a normalised template matches a request's path (without its query), byte for byte."""
    template = parsed(path)
    if not request_path.startswith("/"):
        return False
    asked = request_path.split("/")[1:]
    depth = len(template.segments)
    if template.rest:
        return len(asked) > depth and _all_match(template.segments, asked[:depth])
    if asked[-1] == "" and len(asked) == depth + 1:
        asked = asked[:-1]
    return len(asked) == depth and _all_match(template.segments, asked)


def overlapping(one: str, other: str) -> bool:
    """Whether some request path matches both normalised templates. Exact, not an estimate."""
    a, b = parsed(one), parsed(other)
    if not all(x is None or y is None or x == y for x, y in zip(a.segments, b.segments, strict=False)):
        return False
    if a.rest and b.rest:
        return True
    # `/learn` also answers `/learn/`, which `/learn/*` matches: equal depth is enough for the one without a rest.
    if a.rest:
        return len(b.segments) >= len(a.segments)
    if b.rest:
        return len(a.segments) >= len(b.segments)
    return len(a.segments) == len(b.segments)


def specificity(path: str) -> tuple[tuple[int, str], ...]:
    """Sorts before what is less specific: segment by segment, literal text before `{parameter}` before `*`."""
    template = parsed(path)
    ranks = [(1, "") if segment is None else (0, segment) for segment in template.segments]
    return (*ranks, (2, "")) if template.rest else tuple(ranks)


def _all_match(segments: tuple[str | None, ...], asked: Sequence[str]) -> bool:
    return all(
        text != "" if segment is None else text == segment for segment, text in zip(segments, asked, strict=True)
    )


def _check_whole(path: str) -> None:
    if not path.startswith("/"):
        raise TemplateInvalid(path, "it must begin with a slash")
    if "//" in path:
        raise TemplateInvalid(path, "it has an empty segment (//)")
    if any(0xD800 <= ord(character) <= 0xDFFF for character in path):
        raise TemplateInvalid(path, "it is no valid UTF-8")
    if len(quote(path, safe="%/{}")) > LONGEST:
        raise TemplateInvalid(path[:60] + "…", f"it is longer than {LONGEST} bytes")
    for character, name in (("?", "a query; use --query KEY=VALUE"), ("#", "a fragment"), ("\\", "a backslash")):
        if character in path:
            raise TemplateInvalid(path, f"it has {name}")
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in path):
        raise TemplateInvalid(path, "it has a control character")


def _segment(path: str, segment: str, *, last: bool) -> str:
    if segment == "*":
        if last:
            return segment
        raise TemplateInvalid(path, "* stands for the rest, so it can only be the last segment")
    if _PARAMETER.fullmatch(segment):
        return segment
    if "{" in segment or "}" in segment:
        raise TemplateInvalid(path, "a parameter is a whole segment like {slug}: a-z, 0-9 and _ between braces")
    if "*" in segment:
        raise TemplateInvalid(path, "* is a whole segment; a literal star is written %2A")
    literal = _literal(path, segment)
    if literal in (".", ".."):
        raise TemplateInvalid(path, f"it has a {literal} segment")
    return literal


def _literal(path: str, segment: str) -> str:
    """Percent-encoded as browsers send it: escapes upper-case, what needs none plain."""
    if _UNSAFE.search(segment):
        raise TemplateInvalid(path, "it has a % that is no escape; a literal percent is written %25")
    canonical = _ESCAPE.sub(_unescaped, quote(segment, safe="%" + _IN_PATHS))
    for escape, name in _CONFUSING.items():
        if escape in canonical:
            raise TemplateInvalid(path, f"it has {name}, and such a request always goes to the old site")
    return canonical


def _unescaped(match: re.Match[str]) -> str:
    character = chr(int(match[0][1:], 16))
    return character if character in _UNRESERVED else match[0].upper()
