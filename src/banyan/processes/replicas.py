"""`banyan db ...`: replicas of the embedded servers, in the hands of the supervisor."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec

from banyan.infra import databases
from banyan.infra.postgres import LOST
from banyan.infra.replicas import takeover
from banyan.infra.replicas.keeper import Keeper
from banyan.infra.replicas.orders import Outcome
from banyan.infra.settings import Settings
from banyan.infra.supervisor.control import Handler, Wish
from banyan.messaging import republishing

_BEFORE_THE_LOOK = timedelta(minutes=10)  # events carry the time at which their transaction began
_UNKNOWN = timedelta(days=1)


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
        if outcome.may_have_lost:
            outcome = replace(outcome, republished=await _republish(keeper.settings, outcome))
        told: Wish = msgspec.to_builtins(outcome)
        return told

    return {"servers": servers, "replicate": replicate, "unreplicate": unreplicate, "promote": promote}


async def _republish(settings: Settings, outcome: Outcome) -> int | None:
    """What the bus or a consumer may have lost, the owners' event stores still have; inboxes know the rest."""
    ago = _UNKNOWN if outcome.looked_before is None else timedelta(seconds=outcome.looked_before) + _BEFORE_THE_LOOK
    told = 0
    for owner in republishing.tellers():
        try:
            told += await republishing.republish(databases.url(settings, owner), since=datetime.now(UTC) - ago)
        except LOST:
            return None
    return told
