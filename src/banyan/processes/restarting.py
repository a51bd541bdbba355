"""`banyan restart`: one process after the other, by another version if one is given; nobody is refused meanwhile."""

from banyan.infra.settings import Settings
from banyan.infra.supervisor.control import Handler, Wish
from banyan.infra.supervisor.supervisor import Supervisor


def handlers(settings: Settings, supervisor: Supervisor) -> dict[str, Handler]:
    async def restart(wish: Wish) -> Wish:
        name = str(wish.get("name", ""))
        return {"ready": await supervisor.restart(name, "asked to", wait=settings.ready_timeout)}

    return {"restart": restart}
