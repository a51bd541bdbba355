"""`banyan migrate` and `banyan seed`."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from banyan.cli.options import Data, clear_errors, settings
from banyan.infra.settings import Settings

if TYPE_CHECKING:
    from banyan.demo.people import DemoPerson


def migrate(data: Data = None) -> None:
    """Bring every context's database to the newest version. Banyan's processes do the same when they start."""
    from banyan.infra.migrations import MigrationError

    with clear_errors(MigrationError):
        asyncio.run(_migrate(settings(data)))


def seed(
    courses: Annotated[int, typer.Option(min=0, max=1_000_000)] = 300,
    learners: Annotated[int, typer.Option(min=0, max=10_000_000, help="At least 50.")] = 2000,
    enrolments: Annotated[int | None, typer.Option(min=0, max=100_000_000, help="About so many in all.")] = None,
    data: Data = None,
) -> None:
    """Fill the new side with generated courses and people; a second run adds only what is missing."""
    with clear_errors():
        asyncio.run(_seed(settings(data), courses=courses, learners=learners, enrolments=enrolments))


async def _migrate(told: Settings) -> None:
    from banyan.infra import migrations, postgres
    from banyan.processes import registry

    told.make_folders()
    for context in sorted({name for process in registry.PROCESSES for name in process.databases}):
        database = postgres.database(told, context, size=1)
        try:
            applied = await migrations.migrate(database, context)
        finally:
            await database.close()
        print(f"{context}: {', '.join(applied) if applied else 'nothing to do'}")


async def _seed(told: Settings, *, courses: int, learners: int, enrolments: int | None) -> None:
    from banyan.demo import catalogue
    from banyan.infra import migrations, postgres
    from banyan.learning.operations import seed as seeding

    told.make_folders()
    people = catalogue.people(max(learners, catalogue.FEWEST_PEOPLE))
    await _seed_accounts(told, people)
    database = postgres.database(told, "learning", size=2)
    try:
        await migrations.migrate(database, "learning")
        made = catalogue.courses(courses, people=len(people))
        if enrolments is not None:
            made = catalogue.with_enrolments(made, enrolments, people=len(people))
        added = await seeding.fill(database, courses=made, people=people)
    finally:
        await database.close()
    print(f"Added {added.courses} courses, {added.people} people and {added.enrolments} enrolments.")


async def _seed_accounts(told: Settings, people: "list[DemoPerson]") -> None:
    from banyan.iam.operations import seed as seeding
    from banyan.infra import migrations, postgres

    database = postgres.database(told, "iam", size=2)
    try:
        await migrations.migrate(database, "iam")
        await seeding.fill(database, people)
    finally:
        await database.close()
