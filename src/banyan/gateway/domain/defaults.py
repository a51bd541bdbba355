"""The routes of the first start."""

from banyan.gateway.domain.routes import Route, Side


def default_routes(*, demo: bool, other_old_site: bool) -> tuple[Route, ...]:
    """With a company's own old site everything stays there until an operator moves it; else the new side answers."""
    side: Side = "old" if other_old_site else "new"
    twin = demo or other_old_site
    return (
        Route(name="courses", path="/courses", side=side, old_twin=twin, service="web"),
        Route(name="course", path="/courses/{slug}", side=side, old_twin=twin, service="web"),
        Route(name="api", path="/api/v1/*", side=side, old_twin=other_old_site, service="api"),
    )
