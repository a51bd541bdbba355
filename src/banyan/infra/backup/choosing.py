"""Which kind of place an operator named."""

from pathlib import Path

from banyan.infra.backup import s3
from banyan.infra.backup.places import Folder, Place


def place(text: str) -> Place:
    """The place that an operator named: a folder, or s3://bucket/prefix. Raises Refused."""
    return s3.bucket(text) if text.startswith("s3://") else Folder(Path(text).expanduser().absolute())
