"""Every SQL text of the gateway is one that the migrated schema understands."""

from banyan.gateway import queries, store
from banyan.infra.postgres import Database

TEXTS = [
    text
    for module in (store, queries)
    for name, text in vars(module).items()
    if name.isupper() and isinstance(text, str)
]


async def test_every_text_prepares(migrated: Database) -> None:
    assert len(TEXTS) > 5
    async with migrated.connection() as connection:
        for text in TEXTS:
            await connection.prepare(text)
