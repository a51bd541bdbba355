"""The new site pages; they know the services only by their HTTP APIs."""
