"""Every SQL text of the gateway is one that the migrated schema understands."""

import pytest

from banyan.gateway import queries, store
from banyan.infra.postgres import Database

TEXTS = {
    f"{module.__name__.rsplit('.', 1)[-1]}.{name}": text
    for module in (store, queries)
    for name, text in vars(module).items()
    if name.isupper() and isinstance(text, str)
}


@pytest.mark.parametrize("name", TEXTS)
async def test_it_prepares(migrated: Database, name: str) -> None:
    async with migrated.connection() as connection:
        await connection.prepare(TEXTS[name])


def test_there_are_some() -> None:
    assert len(TEXTS) > 5
