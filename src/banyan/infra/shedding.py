"""So many requests at a time and no more: what is over that waits a moment and is then told so, while those in work
are answered as quickly as ever."""

import asyncio
from collections import deque

_RESERVED = 10  # one in ten seats is for writes: somebody's work is worth more than another look


class Seats:
    """`most` requests at a time, of which reads get nine in ten; as many more may wait, each for `patience` seconds."""

    def __init__(self, most: int, *, patience: float) -> None:
        self._most = most
        self._patience = patience
        self._taken = 0
        self._writes: deque[asyncio.Future[None]] = deque()
        self._reads: deque[asyncio.Future[None]] = deque()

    async def take(self, *, write: bool) -> bool:
        """Whether there is a seat. Writes go before reads; of their kind, who came first."""
        waiting = self._writes if write else self._reads
        if not waiting and self._has_room(write=write):
            self._taken += 1
            return True
        if len(self._writes) + len(self._reads) >= self._most:
            return False
        turn = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            async with asyncio.timeout(self._patience):
                await turn
        except TimeoutError:
            return turn.done() and not turn.cancelled()
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back()
            raise
        finally:
            if turn in waiting:
                waiting.remove(turn)
        return True

    def give_back(self) -> None:
        self._taken -= 1
        for waiting in (self._writes, self._reads):
            while waiting and self._has_room(write=waiting is self._writes):
                turn = waiting.popleft()
                if not turn.done():
                    self._taken += 1
                    turn.set_result(None)

    def _has_room(self, *, write: bool) -> bool:
        return self._taken < (self._most if write else self._most - self._most // _RESERVED)
