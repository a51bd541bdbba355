"""Writing and publishing courses."""

from datetime import datetime

from banyan.contracts.events import CoursePublished
from banyan.infra.postgres import Database
from banyan.kit import ids
from banyan.learning.domain.courses import Content, Course, CourseId, PersonId, Version, VersionId, usable_slug
from banyan.learning.store import courses as store
from banyan.messaging import outbox


class Courses:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, *, slug: str, instructor_id: PersonId, content: Content, now: datetime) -> Course:
        """A new course with its first draft. Raises what the rules refuse, SlugTaken, PersonUnknown."""
        content = content.checked()
        draft = Version(id=VersionId(ids.uuid7()), number=1, revision=1, lessons=len(list(content.lessons)))
        course = Course(id=CourseId(ids.uuid7()), slug=usable_slug(slug), instructor_id=instructor_id, draft=draft)
        async with self._database.transaction() as tx:
            await store.insert_course(tx, course, now=now)
            await store.save_draft(tx, course.id, draft, content, now=now)
        return course

    async def write_draft(self, *, course_id: CourseId, revision: int, content: Content, now: datetime) -> Version:
        """Save the draft that was opened at `revision`. Raises what the rules refuse, DraftChanged, CourseUnknown."""
        content = content.checked()
        async with self._database.transaction() as tx:
            course = await store.lock_course(tx, course_id)
            draft = course.next_draft(
                revision=revision, new_id=VersionId(ids.uuid7()), lessons=len(list(content.lessons))
            )
            await store.save_draft(tx, course_id, draft, content, now=now)
        return draft

    async def publish(self, *, course_id: CourseId, version_id: VersionId, by: PersonId, now: datetime) -> Course:
        """Show learners this version, from this moment. Raises NoLessons, AlreadyPublished, VersionUnknown."""
        async with self._database.transaction() as tx:
            course = await store.lock_course(tx, course_id)
            version = await store.load_version(tx, course_id, version_id)
            published = course.publish(version, now=now)
            await store.save_published(tx, published, publication_id=ids.uuid7(), by=by, now=now)
            event = CoursePublished(course_id=str(course.id), slug=course.slug, version=version.number, at=now)
            await outbox.add(tx, event)
        return published
