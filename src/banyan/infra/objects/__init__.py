"""Large files under names: a folder here, or S3. What was put is there as a whole or not at all."""

from banyan.infra.objects.choosing import store
from banyan.infra.objects.kinds import ObjectMissing, ObjectStore, Stored, StoreTrouble

__all__ = ["ObjectMissing", "ObjectStore", "StoreTrouble", "Stored", "store"]
