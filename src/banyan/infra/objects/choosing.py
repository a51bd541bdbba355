"""Which store the operator chose."""

from pathlib import Path

from banyan.infra.objects import s3
from banyan.infra.objects.folder import Folder
from banyan.infra.objects.kinds import ObjectStore
from banyan.infra.settings import Settings


def store(settings: Settings) -> ObjectStore:
    """Raises ExtraMissing where S3 was chosen and cannot be spoken."""
    if settings.object_store.startswith("s3://"):
        return s3.bucket(settings.object_store)
    return Folder(Path(settings.object_store).expanduser() if settings.object_store else settings.objects)
