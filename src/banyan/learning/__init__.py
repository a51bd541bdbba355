"""Courses: drafts and published versions, sections, lessons."""
