"""Chance that falls the same way every time."""

from random import Random


def dice(*key: str | int) -> Random:
    """Dice of their own for each key, the same in every process and Python version."""
    return Random("banyan " + " ".join(map(str, key)))  # noqa: S311 # demo data, nothing secret
