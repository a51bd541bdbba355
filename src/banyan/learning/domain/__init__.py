"""The rules of learning: courses and their versions, enrolments, progress. No I/O, no clock."""
