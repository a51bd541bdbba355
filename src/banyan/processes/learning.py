"""The `learning` process: courses over HTTP."""

from banyan.infra import hangul, http, migrations, postgres
from banyan.infra.postgres import Database
from banyan.infra.preparation import Preparation
from banyan.infra.settings import Settings
from banyan.learning import queries
from banyan.learning.http import router


async def run(settings: Settings) -> None:
    database = postgres.database(settings, "learning")
    preparation = Preparation(lambda: prepare(database, demo=settings.demo))
    app = http.application(
        "learning", [router(database)], settings=settings, checks=[preparation.check, database.ready]
    )
    listener = http.inherited_or_own_socket(settings, "learning")
    await preparation.beside(http.serve(preparation.guard(app), listener))
    await database.close()


async def prepare(database: Database, *, demo: bool) -> None:
    """Bring the database to what this version needs; in the demo with its courses, unless there are some."""
    async with database.connection() as connection:
        await hangul.check(connection)
    await migrations.migrate(database, "learning")
    if demo and await queries.is_empty(database):
        from banyan.demo import catalogue
        from banyan.learning.operations import seed

        await seed.fill(database, courses=catalogue.courses(), people=catalogue.people())
