"""Secrets made on first use and kept in the data folder, readable by its owner only; never logged."""

import os
import secrets
from pathlib import Path


def secret(folder: Path, name: str) -> str:
    """The secret of that name; 32 random bytes in URL-safe text, made now if there is none."""
    path = folder / name
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        pass
    made = secrets.token_urlsafe(32)
    draft = folder / f".{name}.{os.getpid()}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(made + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)  # fails if another process was first: then its secret counts
    except FileExistsError:
        return path.read_text().strip()
    finally:
        draft.unlink()
    return made
