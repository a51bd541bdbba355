"""A promotion in a running Banyan: the steps of `promotion`, with the supervisor's children stopped and started between
them."""

import asyncio
import contextlib
import os
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

from banyan.infra import embedded
from banyan.infra.databases import Server
from banyan.infra.embedded import EmbeddedPostgresError
from banyan.infra.postgres import LOST
from banyan.infra.replicas import folders, primary, promotion, refusals, standby, wal
from banyan.infra.replicas.keeper import Keeper, child_name
from banyan.infra.replicas.orders import Look, Order, Outcome, sized

_STOP_SECONDS = 2.0
_ANSWER_SECONDS = 2.0
_MUCH = 16 * 1_048_576  # more than this is no moment's lag


async def promote(keeper: Keeper, server: Server, *, accept_loss: bool) -> Outcome:
    """Put the replica in its primary's place, whatever became of that one. Raises NoReplica, ReplicaAway,
    TooFarBehind, Mounted, Busy, Unfinished."""
    with keeper.alone(server, "is being promoted"):
        answers = await _fresh_look(keeper, server)
        order = folders.order(keeper.settings, server)
        if order is None:
            order = await _order(keeper, server, accept_loss=accept_loss)
            folders.give_order(keeper.settings, server, order)
        try:
            return await _carry_out(keeper, server, order, answers=answers)
        except (OSError, EmbeddedPostgresError, *LOST) as fault:
            raise refusals.Unfinished(server, str(fault) or type(fault).__name__) from fault


async def _fresh_look(keeper: Keeper, server: Server) -> bool:
    """Look at the primary once more, if it answers."""
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            connection = await primary.connect(keeper.settings, server)
            try:
                keeper.looks[server.name] = await primary.look(connection, now=datetime.now(UTC))
            finally:
                connection.terminate()
    except LOST:
        return False
    return True


async def _order(keeper: Keeper, server: Server, *, accept_loss: bool) -> Order:
    settings = keeper.settings
    place = embedded.data_folder(settings, server)
    if not folders.exists(settings, server):
        raise refusals.NoReplica(server)
    if place.is_mount():
        raise refusals.Mounted(server, str(place))
    received = await standby.received(settings, server)
    if received is None:
        raise refusals.ReplicaAway(server)
    look = keeper.looks.get(server.name)
    if not accept_loss and (why := _too_far(look, received)):
        timeline = await asyncio.to_thread(wal.timeline, keeper.rights, folders.of(settings, server))
        if not wal.is_there(place, received, timeline):
            raise refusals.TooFarBehind(server, why)
    now = datetime.now(UTC)
    return Order(at=now, fenced=f"{server.name}.fenced-{now:%Y%m%dT%H%M%S%f}", look=look)


def _too_far(look: Look | None, received: int) -> str:
    if look is None:
        return "has not been seen following its primary"
    missing = look.position - received
    if missing > _MUCH:
        return f"lacks {sized(missing)} of its primary's log"
    if not look.streaming and missing > 0:
        return f"had stopped following its primary before that went, and lacks {missing:,} bytes of its log"
    return ""


async def _carry_out(keeper: Keeper, server: Server, order: Order, *, answers: bool) -> Outcome:
    settings, rights = keeper.settings, keeper.rights
    began = time.monotonic()
    place = embedded.data_folder(settings, server)
    await _stop_for_good(keeper, f"postgres-{server.name}", place, patience=_STOP_SECONDS if answers else 0.0)
    fenced = await asyncio.to_thread(promotion.fence, settings, server, order)
    rescue = None
    if folders.exists(settings, server):
        received = await standby.received(settings, server)
        await _stop_for_good(keeper, child_name(server), folders.of(settings, server), patience=_STOP_SECONDS)
        rescue = await asyncio.to_thread(promotion.rescue, settings, server, rights, fenced=fenced, received=received)
        await asyncio.to_thread(promotion.move, settings, server, rights)
    if keeper.supervisor.stop_asked:
        raise EmbeddedPostgresError("Banyan is being stopped")
    name = f"postgres-{server.name}"
    if name not in keeper.supervisor.children:
        await keeper.supervisor.start([keeper.spec(server)], wait=settings.ready_timeout)
    child = keeper.supervisor.child(name)
    if child.state.state != "ready":
        raise EmbeddedPostgresError(f"the new primary is {child.state.state} ({child.state.detail or 'not ready yet'})")
    seconds = time.monotonic() - began
    timeline = await promotion.finish(settings, server)
    look = order.look
    keeper.forget(server)
    lost = max(0, look.position - rescue.received) if look and rescue and rescue.commits is None else 0
    return Outcome(
        seconds=seconds,
        timeline=timeline,
        received=rescue.received if rescue else 0,
        rescued=rescue.commits if rescue else None,
        lost=lost,
        synchronous=look is not None and look.synchronous and look.streaming,
        looked_before=(order.at - look.at).total_seconds() if look else None,
        fenced=str(fenced) if fenced else None,
    )


async def _stop_for_good(keeper: Keeper, name: str, folder: Path, *, patience: float) -> None:
    """An orderly stop of a primary gives its replica everything; one that takes longer is not waited for."""
    child = keeper.supervisor.children.get(name)
    if child is None:
        return
    stopping = asyncio.create_task(keeper.supervisor.remove(name))
    await asyncio.wait([stopping], timeout=patience)
    if not stopping.done():
        if child.state.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.state.pid, signal.SIGKILL)
        await asyncio.to_thread(promotion.end_processes, folder)  # those that hang keep the dead one's log open
    await stopping
