"""Routes: their order, which overlap, what a request fits, and what is refused."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banyan.gateway.domain import routes, tables, templates
from banyan.gateway.domain.routes import Route

SEGMENTS = st.sampled_from(["a", "b", "{p}"])
PATHS = st.builds(
    lambda segments, rest: templates.normalised("/" + "/".join([*segments, *(["*"] if rest else [])])),
    st.lists(SEGMENTS, max_size=3),
    st.booleans(),
)
ROUTES = st.builds(
    lambda name, path, method, host, query: routes.checked(
        Route(name=name, path=path, method=method, host=host, query=query, service="web")
    ),
    st.from_regex(r"[a-z]{1,8}", fullmatch=True),
    PATHS,
    st.sampled_from(["*", "GET", "HEAD", "POST"]),
    st.sampled_from(["*", "a.test", "b.test"]),
    st.sampled_from(["", "k=1", "k=2", "k", "k=1&l=1", "l"]),
)
ASKED = [
    "/" + "/".join(segments) + slash
    for depth in range(5)
    for segments in itertools.product("abc"[: 5 - depth], repeat=depth)
    for slash in ("", "/")
    if depth or not slash
]
REQUESTS = [
    {"method": method, "host": host, "path": path, "query": query}
    for method in ("GET", "HEAD", "POST", "PUT")
    for host in ("a.test", "b.test", "c.test")
    for path in ASKED
    for query in ([], [("k", "1")], [("k", "2")], [("k", "1"), ("l", "1")], [("l", "9"), ("k", "2")], [("l", "9")])
]


def route(name: str = "courses", path: str = "/courses", **other: object) -> Route:
    return Route(**{"name": name, "path": path, "service": "web", **other})


def names(found: list[Route]) -> list[str]:
    return [one.name for one in found]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"path": "/courses"}, {"path": "/{anything}"}),
        ({"path": "/{anything}"}, {"path": "/*"}),
        ({"path": "/courses/{slug}"}, {"path": "/courses/*"}),
        ({"path": "/a/{x}/c"}, {"path": "/{y}/b/c"}),
        ({"path": "/*", "host": "admin.test"}, {"path": "/courses"}),
        ({"method": "POST"}, {"method": "*"}),
        ({"method": "HEAD"}, {"method": "GET"}),
        ({"query": "a=1&b=2"}, {"query": "a=1"}),
        ({"query": "a=1"}, {"query": "a"}),
        ({"query": "a"}, {"query": ""}),
        ({"path": "/courses", "method": "*"}, {"path": "/{x}", "method": "GET", "query": "a=1"}),
    ],
)
def test_the_more_specific_route_is_asked_first(first: dict[str, str], second: dict[str, str]) -> None:
    # The names would say otherwise.
    pair = [route("z-specific", **first), route("a-general", **second)]

    assert names(routes.in_order(pair)) == ["z-specific", "a-general"]
    assert routes.overlapping(*pair)


@given(st.lists(ROUTES, max_size=8, unique_by=lambda one: one.name), st.randoms())
def test_the_order_does_not_depend_on_when_a_route_was_added(found: list[Route], chance: random.Random) -> None:
    shuffled = list(found)
    chance.shuffle(shuffled)

    assert routes.in_order(shuffled) == routes.in_order(found)


@given(ROUTES, ROUTES)
def test_two_routes_overlap_exactly_where_a_request_fits_both(one: Route, other: Route) -> None:
    both = any(routes.matches(one, **request) and routes.matches(other, **request) for request in REQUESTS)

    assert routes.overlapping(one, other) == routes.overlapping(other, one) == both


@given(ROUTES)
def test_checking_twice_is_checking_once(one: Route) -> None:
    assert routes.checked(one) == one


def test_overlaps_are_named_in_the_order_they_are_asked() -> None:
    table = [route("all", "/*"), route("course", "/courses/{slug}"), route("one", "/courses/one")]

    assert routes.overlaps(table) == {"all": ["one", "course"], "course": ["one", "all"], "one": ["course", "all"]}


def test_a_route_for_get_takes_head_along() -> None:
    page = routes.checked(route(method="get"))

    assert [m for m in ("GET", "HEAD", "POST") if routes.matches(page, method=m, host="x", path="/courses")] == [
        "GET",
        "HEAD",
    ]


def test_what_a_route_says_has_one_spelling() -> None:
    written = route(path="/강의/", method=" post ", host="Shop.Example.COM.", query="?b=둘&a=1&c")

    found = routes.checked(written)

    assert (found.path, found.method, found.host) == ("/%EA%B0%95%EC%9D%98", "POST", "shop.example.com")
    assert found.query == "a=1&b=%EB%91%98&c"
    assert found.query_pairs == (("a", "1"), ("b", "%EB%91%98"), ("c", None))
    assert routes.described(found) == "POST shop.example.com/강의?a=1&b=%EB%91%98&c"


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ({"name": "Courses"}, "no route name"),
        ({"name": "1a"}, "no route name"),
        ({"name": "a" * 64}, "no route name"),
        ({"name": "강의"}, "no route name"),
        ({"method": "GET POST"}, "no method"),
        ({"method": ""}, "no method"),
        ({"host": "http://a.test"}, "no host name"),
        ({"host": "a.test:80"}, "no host name"),
        ({"host": "a..b"}, "no host name"),
        ({"host": "*.a.test"}, "no host name"),
        ({"query": "a=1&a=2"}, "each key once"),
        ({"query": "=1"}, "each key once"),
        ({"query": "a=1 2"}, "cannot be in a query"),
        ({"query": "a=#"}, "cannot be in a query"),
        ({"query": "a=\ud800"}, "UTF-8"),
        ({"service": "Web Server"}, "no service name"),
        ({"service": None, "old_twin": False, "side": "new"}, "nobody"),
        ({"side": "both"}, "side is old or new"),
        ({"fate": "burn"}, "fate is move"),
    ],
)
def test_what_a_route_cannot_be_is_refused_with_the_reason(part: dict[str, object], says: str) -> None:
    with pytest.raises(routes.RouteInvalid, match=says):
        routes.checked(route(**part))


def test_a_route_stays_where_somebody_answers_it() -> None:
    table = (route("here", "/here", side="new", old_twin=False), route("there", "/there", service=None))

    with pytest.raises(routes.NoOldSite, match="'here'"):
        tables.with_moved(table, "here", "old")
    with pytest.raises(routes.NoNewSide, match="'there'"):
        tables.with_moved(table, "there", "new")


def test_an_unknown_name_brings_the_close_ones() -> None:
    table = (route("courses"), route("course", "/courses/{slug}"), route("login", "/login"))

    with pytest.raises(routes.RouteUnknown, match="Did you mean course or courses"):
        tables.without(table, "coursse")
    with pytest.raises(routes.RouteUnknown, match="There are: course, courses, login"):
        tables.without(table, "xyz")
    with pytest.raises(routes.RouteUnknown, match="banyan route add"):
        tables.without((), "xyz")


def test_the_same_requests_belong_to_one_route() -> None:
    table = (route("course", "/courses/{slug}"),)

    with pytest.raises(routes.SameRequests, match="banyan route rm course"):
        tables.with_added(table, route("other", "/courses/{id}/"))
    with pytest.raises(routes.RouteExists, match=r"/courses/\{slug\}"):
        tables.with_added(table, route("course", "/elsewhere"))
    assert len(tables.with_added(table, route("other", "/courses/{id}", method="POST"))) == 2


def test_a_table_has_an_end() -> None:
    table = tuple(route(f"r{number}", f"/{number}") for number in range(tables.LARGEST))

    with pytest.raises(routes.TableFull):
        tables.with_added(table, route("one-more", "/one-more"))


def test_korean_is_readable_and_what_would_mislead_stays_encoded() -> None:
    assert routes.readable("/%EA%B0%95%EC%9D%98/{slug}/*") == "/강의/{slug}/*"
    for encoded in ("/a%20b", "/%2A", "/%7Bslug%7D", "/100%25", "/%E2%80%AE", "/%FF"):
        assert routes.readable(encoded) == encoded
