"""The routes of the first start."""

from banyan.gateway.domain.routes import Route, Side

_PEOPLE = (
    # name, path, whether the demo's old site has one
    ("login", "/login", True),
    # The old site's ends only its own session, so even the kill switch leaves this one here.
    ("logout", "/logout", False),
    ("signup", "/signup", True),
    ("enrolment", "/courses/{slug}/enrolment", False),
    ("learn", "/learn/*", False),
    ("me", "/me", False),
    ("account", "/account", False),
    ("reset", "/reset", False),
    ("reset-link", "/reset/{token}", False),
)


def default_routes(*, demo: bool, other_old_site: bool) -> tuple[Route, ...]:
    """With a company's own old site everything stays there until an operator moves it; else the new side answers."""
    side: Side = "old" if other_old_site else "new"
    twin = demo or other_old_site
    own = [
        Route(name=name, path=path, side=side, old_twin=other_old_site or (demo and twin_there), service="web")
        for name, path, twin_there in _PEOPLE
    ]
    return (
        Route(name="courses", path="/courses", side=side, old_twin=twin, service="web"),
        Route(name="course", path="/courses/{slug}", side=side, old_twin=twin, service="web"),
        *own,
        Route(name="api", path="/api/v1/*", side=side, old_twin=other_old_site, service="api"),
    )
