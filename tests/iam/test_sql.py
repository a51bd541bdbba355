"""Every SQL text of iam is one that the migrated schema understands."""

from banyan.iam import queries
from banyan.iam.store import accounts, attempts, audit, keys, mails, person_keys, sessions

from .people import House

TEXTS = [
    text
    for module in (accounts, attempts, audit, keys, mails, person_keys, sessions, queries)
    for name, text in vars(module).items()
    if name.isupper() and isinstance(text, str)
]


async def test_every_text_prepares(house: House) -> None:
    assert len(TEXTS) > 30
    async with house.database.connection() as connection:
        for text in TEXTS:
            await connection.prepare(text)
