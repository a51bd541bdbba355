"""What happens just now, pushed to open pages: the number of learners of a course."""
