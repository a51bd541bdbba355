"""The `monitor` process: looks at all the others, remembers their slowest requests, and tells somebody when it must."""

from banyan.infra import http
from banyan.infra.settings import Settings


async def run(settings: Settings) -> None:
    app = http.application("monitor", [], settings=settings)
    await http.serve(app, http.inherited_or_own_socket(settings, "monitor"))
