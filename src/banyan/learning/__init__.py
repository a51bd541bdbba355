"""Courses, and whoever takes them: versions, enrolments, lessons, progress."""
