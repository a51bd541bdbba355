"""A backup in S3, or whatever speaks its language: bounded parts, the manifest last and if none is there."""

import os
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

from banyan.infra.backup import manifest
from banyan.infra.backup.places import PIECE, FileMissing, Place, PlaceTaken
from banyan.kit.errors import Refused, Unavailable

_PART = 8 * 1024 * 1024
_PARTS_OF_A_SIZE = 1000  # then they become larger: 10,000 parts are allowed, and a file may have terabytes
_ABSENT = {"NoSuchKey", "404", "NotFound"}


class ExtraMissing(Refused):
    """Backups in S3 need the extra `aws`: install banyan[aws]."""


class S3Trouble(Unavailable):
    def __init__(self, where: str, fault: BaseException) -> None:
        super().__init__(f"{where} cannot be used: {fault}")


def bucket(text: str) -> Place:
    """`s3://bucket/prefix`; who we are there, and where that is, AWS_* variables say. Raises Refused, ExtraMissing."""
    parts = urlsplit(text)
    if not parts.netloc or not parts.path.strip("/"):
        raise Refused(f"{text} names no place; it takes s3://bucket/prefix.")
    try:
        from aiobotocore.session import get_session
    except ImportError as fault:
        raise ExtraMissing from fault
    return Bucket(text, parts.netloc, parts.path.strip("/"), get_session())


class Bucket:
    """`folder` is of this attempt alone, so that what a cut-off one left is never mistaken for ours."""

    def __init__(self, name: str, bucket: str, prefix: str, session: Any) -> None:
        self.name = name
        self.folder = uuid.uuid4().hex
        self._bucket = bucket
        self._prefix = prefix
        self._session = session
        self._stack = AsyncExitStack()
        self._opened: Any = None
        self._put: list[str] = []

    async def begin(self) -> None:
        client = await self._client()
        with self._troubles():
            for name in (manifest.PLAIN, manifest.SEALED):
                found = await client.list_objects_v2(Bucket=self._bucket, Prefix=self._key(name), MaxKeys=1)
                if found.get("KeyCount"):
                    raise PlaceTaken(self.name)

    async def put(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        client = await self._client()
        key = self._key(name)
        waiting = bytearray()
        upload: str | None = None
        parts: list[dict[str, object]] = []
        with self._troubles():
            try:
                async for chunk in chunks:
                    waiting += chunk
                    if len(waiting) < _PART * (1 + len(parts) // _PARTS_OF_A_SIZE):
                        continue
                    if upload is None:
                        upload = (await client.create_multipart_upload(Bucket=self._bucket, Key=key))["UploadId"]
                    parts.append(await self._part(client, key, upload, len(parts) + 1, waiting))
                    waiting.clear()
                if upload is None:
                    await self._whole(client, name, bytes(waiting))
                    return
                if waiting:
                    parts.append(await self._part(client, key, upload, len(parts) + 1, waiting))
                await client.complete_multipart_upload(
                    Bucket=self._bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
                )
                self._put.append(key)
            except BaseException:
                if upload is not None:
                    await client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload)
                raise

    async def finish(self) -> None:
        self._put.clear()

    async def abandon(self) -> None:
        """What was put goes again; what a kill leaves, no manifest names."""
        if self._put:
            client = await self._client()
            with self._troubles():
                for key in reversed(self._put):  # first what makes it count
                    await client.delete_object(Bucket=self._bucket, Key=key)

    async def get(self, name: str) -> AsyncIterator[bytes]:
        client = await self._client()
        with self._troubles(missing=name):
            answer = await client.get_object(Bucket=self._bucket, Key=self._key(name))
            async with answer["Body"] as body:
                while piece := await body.read(PIECE):
                    yield piece

    async def close(self) -> None:
        await self._stack.aclose()
        self._opened = None

    async def _client(self) -> Any:
        if self._opened is None:
            endpoint = os.environ.get("AWS_ENDPOINT_URL") or None
            region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
            made = self._session.create_client("s3", endpoint_url=endpoint, region_name=region)
            with self._troubles():
                self._opened = await self._stack.enter_async_context(made)
        return self._opened

    async def _whole(self, client: Any, name: str, content: bytes) -> None:
        # Two backups to one place at a time: the second manifest is refused, and with it the second backup.
        only_first = {"IfNoneMatch": "*"} if name in (manifest.PLAIN, manifest.SEALED) else {}
        await client.put_object(Bucket=self._bucket, Key=self._key(name), Body=content, **only_first)
        self._put.append(self._key(name))

    async def _part(self, client: Any, key: str, upload: str, number: int, content: bytearray) -> dict[str, object]:
        made = await client.upload_part(
            Bucket=self._bucket, Key=key, UploadId=upload, PartNumber=number, Body=bytes(content)
        )
        return {"ETag": made["ETag"], "PartNumber": number}

    @contextmanager
    def _troubles(self, missing: str | None = None) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as fault:
            if missing is not None and fault.response.get("Error", {}).get("Code") in _ABSENT:
                raise FileMissing(missing) from fault
            raise S3Trouble(self.name, fault) from fault
        except BotoCoreError as fault:
            raise S3Trouble(self.name, fault) from fault

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}"
