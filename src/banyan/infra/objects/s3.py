"""Objects in S3, or whatever speaks its language: bounded parts, visible when the last of them is there."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

from banyan.infra.objects.kinds import PIECE, ObjectMissing, ObjectStore, Stored, StoreTrouble, checked
from banyan.kit.errors import Refused

_PART = 8 * 1024 * 1024
_PARTS_OF_A_SIZE = 1000  # then they become larger: 10,000 parts are allowed, and a file may have terabytes
_ABSENT = {"NoSuchKey", "404", "NotFound"}
_PAST_THE_END = {"InvalidRange", "416"}
_CONNECT_SECONDS = 5
_READ_SECONDS = 30


class ExtraMissing(Refused):
    """Objects in S3 need the extra `aws`: install banyan[aws]."""


def bucket(text: str) -> ObjectStore:
    """`s3://bucket/prefix`; who we are there, and where that is, AWS_* variables say. Raises ExtraMissing."""
    parts = urlsplit(text)
    try:
        from aiobotocore.session import get_session
    except ImportError as fault:
        raise ExtraMissing from fault
    return Bucket(text, parts.netloc, parts.path.strip("/"), get_session())


class Bucket:
    def __init__(self, name: str, bucket: str, prefix: str, session: Any) -> None:
        self.name = name
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._session = session
        self._stack = AsyncExitStack()
        self._opened: Any = None

    async def put(self, name: str, chunks: AsyncIterator[bytes]) -> int:
        key = self._key(name)
        client = await self._client()
        waiting, size = bytearray(), 0
        upload: str | None = None
        parts: list[dict[str, object]] = []
        try:
            async for chunk in chunks:  # whose own troubles are not of this store
                waiting += chunk
                size += len(chunk)
                if len(waiting) < _PART * (1 + len(parts) // _PARTS_OF_A_SIZE):
                    continue
                with self._troubles():
                    if upload is None:
                        upload = (await client.create_multipart_upload(Bucket=self._bucket, Key=key))["UploadId"]
                    parts.append(await self._part(client, key, upload, len(parts) + 1, waiting))
                waiting.clear()
            with self._troubles():
                if upload is None:
                    await client.put_object(Bucket=self._bucket, Key=key, Body=bytes(waiting))
                    return size
                if waiting:
                    parts.append(await self._part(client, key, upload, len(parts) + 1, waiting))
                await client.complete_multipart_upload(
                    Bucket=self._bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
                )
            return size
        except BaseException:
            if upload is not None:
                with self._troubles():
                    await client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload)
            raise

    async def get(self, name: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        if length is not None and length <= 0:
            return
        client = await self._client()
        end = "" if length is None else str(start + length - 1)
        some = {"Range": f"bytes={start}-{end}"} if start or length is not None else {}
        from botocore.exceptions import ClientError

        with self._troubles(missing=name):
            try:
                answer = await client.get_object(Bucket=self._bucket, Key=self._key(name), **some)
            except ClientError as fault:
                if _code(fault) in _PAST_THE_END:
                    return
                raise
        async with answer["Body"] as body:
            while True:
                with self._troubles():
                    piece = await body.read(PIECE)
                if not piece:
                    return
                yield piece

    async def find(self, name: str) -> Stored | None:
        client = await self._client()
        try:
            with self._troubles(missing=name):
                found = await client.head_object(Bucket=self._bucket, Key=self._key(name))
        except ObjectMissing:
            return None
        return Stored(name, found["ContentLength"], found["LastModified"])

    async def list(self, folder: str) -> AsyncIterator[Stored]:
        client = await self._client()
        more: dict[str, str] = {}
        while True:
            with self._troubles():
                page = await client.list_objects_v2(Bucket=self._bucket, Prefix=f"{self._key(folder)}/", **more)
            for one in page.get("Contents", []):
                yield Stored(one["Key"].removeprefix(self._prefix), one["Size"], one["LastModified"])
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    async def delete(self, name: str) -> None:
        client = await self._client()
        with self._troubles():
            await client.delete_object(Bucket=self._bucket, Key=self._key(name))

    async def close(self) -> None:
        await self._stack.aclose()
        self._opened = None

    async def _client(self) -> Any:
        if self._opened is None:
            from aiobotocore.config import AioConfig

            endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None
            region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
            config = AioConfig(connect_timeout=_CONNECT_SECONDS, read_timeout=_READ_SECONDS)
            made = self._session.create_client("s3", endpoint_url=endpoint, region_name=region, config=config)
            with self._troubles():
                try:
                    self._opened = await self._stack.enter_async_context(made)
                except ValueError as fault:  # AWS_ENDPOINT_URL is no address
                    raise StoreTrouble(self.name, fault) from fault
        return self._opened

    async def _part(self, client: Any, key: str, upload: str, number: int, content: bytearray) -> dict[str, object]:
        made = await client.upload_part(
            Bucket=self._bucket, Key=key, UploadId=upload, PartNumber=number, Body=bytes(content)
        )
        return {"ETag": made["ETag"], "PartNumber": number}

    @contextmanager
    def _troubles(self, missing: str | None = None) -> Iterator[None]:
        import aiohttp
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as fault:
            if missing is not None and _code(fault) in _ABSENT:
                raise ObjectMissing(self.name, missing) from fault
            raise StoreTrouble(self.name, fault) from fault
        except (BotoCoreError, aiohttp.ClientError, OSError, TimeoutError) as fault:
            raise StoreTrouble(self.name, fault) from fault

    def _key(self, name: str) -> str:
        return f"{self._prefix}{checked(name)}"


def _code(fault: Any) -> str:
    return str(fault.response.get("Error", {}).get("Code"))
