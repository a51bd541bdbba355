"""The fault matrix: every fault of the old site and of those who look on."""

from collections.abc import Iterator

import pytest

from tests.processes import matrix
from tests.processes.dependencies import Cell, cells
from tests.processes.matrix import Town


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    with matrix.town() as town:
        yield town


@pytest.mark.parametrize("cell", cells("old-site", "gateway", "monitor"), ids=str)
def test_a_fault_is_felt_only_by_those_who_need_its_part(town: Town, cell: Cell) -> None:
    town.suffer(cell)


def test_nothing_confirmed_is_lost_or_done_twice(town: Town) -> None:
    town.check_nothing_is_lost()
