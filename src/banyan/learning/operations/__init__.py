"""What changes courses: one method, one transaction."""
