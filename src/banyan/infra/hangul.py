"""A self-check: with the wrong locale pg_trgm ignores Hangul without a word, and Korean search finds nothing."""

import asyncpg
from asyncpg.pool import PoolConnectionProxy


class HangulSearchBroken(Exception):
    """pg_trgm on this server ignores Hangul. Its locale must know it: initdb --locale-provider=builtin
    --builtin-locale=C.UTF-8 --locale=C.UTF-8, or a database made with LC_CTYPE C.UTF-8 or better."""


async def check(
    connection: "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]",
) -> None:
    """Raises HangulSearchBroken unless trigrams of Hangul exist in this database."""
    await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    if not await connection.fetchval("SELECT cardinality(show_trgm('스프링'))"):
        raise HangulSearchBroken((HangulSearchBroken.__doc__ or "").strip())
