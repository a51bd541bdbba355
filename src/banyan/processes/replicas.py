"""`banyan db ...`: replicas of the embedded servers, in the hands of the supervisor."""

import msgspec

from banyan.infra.replicas import takeover
from banyan.infra.replicas.keeper import Keeper
from banyan.infra.supervisor.control import Handler, Wish


def handlers(keeper: Keeper) -> dict[str, Handler]:
    async def servers(_: Wish) -> Wish:
        return {"servers": msgspec.to_builtins(keeper.now())}

    async def replicate(wish: Wish) -> Wish:
        synchronous = wish.get("synchronous")
        server = keeper.server(str(wish.get("server", "")))
        await keeper.replicate(server, synchronous=None if synchronous is None else bool(synchronous))
        return {}

    async def unreplicate(wish: Wish) -> Wish:
        await keeper.unreplicate(keeper.server(str(wish.get("server", ""))))
        return {}

    async def promote(wish: Wish) -> Wish:
        server = keeper.server(str(wish.get("server", "")))
        outcome = await takeover.promote(keeper, server, accept_loss=bool(wish.get("accept_loss")))
        told: Wish = msgspec.to_builtins(outcome)
        return told

    return {"servers": servers, "replicate": replicate, "unreplicate": unreplicate, "promote": promote}
