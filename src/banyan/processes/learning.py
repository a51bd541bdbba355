"""The `learning` process: courses, enrolments and lessons over HTTP, and people's names from iam."""

import asyncio
from datetime import timedelta

from banyan.clients.people import People
from banyan.demo import clips
from banyan.infra import hangul, http, migrations, postgres
from banyan.infra.identity import IamKeys, Verifier
from banyan.infra.postgres import Database
from banyan.infra.preparation import Preparation
from banyan.infra.secrets import secret
from banyan.infra.settings import Settings
from banyan.learning import consumers, jobs
from banyan.learning.adapters import MediaFolder
from banyan.learning.domain.media import Signer
from banyan.learning.http import routers
from banyan.learning.operations.views import Views
from banyan.learning.queries import catalogue as queries
from banyan.processes.events import Events, make_days


async def run(settings: Settings) -> None:
    database = postgres.database(settings, "learning")
    keys = IamKeys(settings)
    views = Views(database)
    folder = MediaFolder(settings.objects / "media", maker=clips.make if settings.demo else None)
    faces = routers(
        database,
        verifier=Verifier(keys, settings),
        signer=Signer(secret(settings.secrets, "media-addresses"), timedelta(seconds=settings.media_url)),
        folder=folder,
        views=views,
    )
    preparation = Preparation(lambda: prepare(database, demo=settings.demo))
    people = People(settings, service="learning")
    events = Events(settings, "learning", database, consumers=[consumers.from_iam(database, people, view=people.page)])
    app = http.application(
        "learning", [*faces, events.router], settings=settings, checks=[preparation.check, database.ready]
    )
    listener = http.inherited_or_own_socket(settings, "learning")
    beside = [asyncio.create_task(jobs.tell_views(views, pause_seconds=settings.views_pause))]
    if settings.demo:
        first = clips.name(clips.LENGTHS[0])
        beside.append(asyncio.create_task(jobs.make_ahead(folder, first, after=preparation.check)))
    async with events.running(after=preparation.check):
        await preparation.beside(http.serve(preparation.guard(app), listener))
    for task in beside:
        task.cancel()
    await people.close()
    await keys.close()
    await database.close()


async def prepare(database: Database, *, demo: bool) -> None:
    """Bring the database to what this version needs; in the demo with its courses, unless there are some."""
    async with database.connection() as connection:
        await hangul.check(connection)
    await migrations.migrate(database, "learning")
    await make_days(database)
    if demo and await queries.is_empty(database):
        from banyan.demo import catalogue
        from banyan.learning.operations import seed

        await seed.fill(database, courses=catalogue.courses(), people=catalogue.people())
