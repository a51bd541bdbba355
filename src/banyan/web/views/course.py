"""The course page: the course with what is counted and linked from it, and what machines read of it."""

from dataclasses import dataclass

from banyan.contracts.learning import Course, Section
from banyan.web.views import catalogue


@dataclass(frozen=True, slots=True)
class Chapter:
    section: Section
    seconds: int


@dataclass(frozen=True, slots=True)
class CourseView:
    course: Course
    paragraphs: list[str]
    chapters: list[Chapter]
    previews: int
    canonical: str
    structured: dict[str, object]


def course_view(course: Course, *, site: str) -> CourseView:
    """`site` is the public URL of the front door, for the addresses that leave the page."""
    canonical = catalogue.course_link(course.slug)
    return CourseView(
        course=course,
        paragraphs=[paragraph.strip() for paragraph in course.description.split("\n\n") if paragraph.strip()],
        chapters=[
            Chapter(section, sum(lesson.duration_seconds for lesson in section.lessons)) for section in course.sections
        ],
        previews=sum(lesson.preview for section in course.sections for lesson in section.lessons),
        canonical=canonical,
        structured=_structured(course, site + canonical, site),
    )


def _structured(course: Course, address: str, site: str) -> dict[str, object]:
    """The course as schema.org writes it, for search engines."""
    return {
        "@context": "https://schema.org",
        "@type": "Course",
        "@id": address,
        "url": address,
        "name": course.title,
        "description": course.summary or course.title,
        "inLanguage": course.language,
        "educationalLevel": course.level,
        "datePublished": course.published_at.isoformat(),
        "dateModified": course.updated_at.isoformat(),
        "teaches": course.outcomes,
        "provider": {"@type": "Organization", "name": "Banyan", "url": site + "/"},
        "author": {"@type": "Person", "name": course.instructor},
        "offers": {
            "@type": "Offer",
            "category": "Paid" if course.price else "Free",
            "price": course.price,
            "priceCurrency": "KRW",
        },
        "hasCourseInstance": {
            "@type": "CourseInstance",
            "courseMode": "Online",
            "courseWorkload": f"PT{max(1, round(course.duration_seconds / 60))}M",
            "instructor": {"@type": "Person", "name": course.instructor},
        },
    }
