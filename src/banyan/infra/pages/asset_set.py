"""The files that pages load: read once, compressed once, cached by browsers for good."""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

SHARED = Path(__file__).parent / "assets"

_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
_COMPRESSED = {".css", ".js", ".svg"}


@dataclass(frozen=True, slots=True)
class _Asset:
    content: bytes
    gzipped: bytes | None
    media_type: str


class Assets:
    """The shared assets and those of `folders`, served at `{prefix}/{hash of them all}/{name}`.

    One hash for all, so that a stylesheet or a module may name its neighbour by a relative path.
    """

    def __init__(self, prefix: str, *folders: Path) -> None:
        self._prefix = prefix
        self._assets: dict[str, _Asset] = {}
        for folder in (SHARED, *folders):
            for path in sorted(folder.rglob("*")):
                if path.suffix in _MEDIA_TYPES:
                    self._assets[path.relative_to(folder).as_posix()] = _read(path)
        digest = hashlib.sha256()
        for name, asset in self._assets.items():
            digest.update(f"{name}\0{len(asset.content)}\0".encode() + asset.content)
        self.version = digest.hexdigest()[:12]
        self._urls = {name: f"{prefix}/{self.version}/{name}" for name in self._assets}

    def url(self, name: str) -> str:
        """Raises KeyError for a file that is not there, so that a wrong name fails where the page is made."""
        return self._urls[name]

    def router(self) -> APIRouter:
        router = APIRouter()
        router.add_route(self._prefix + "/{version}/{name:path}", self._serve, name="asset")
        return router

    async def _serve(self, request: Request) -> Response:
        asset = self._assets.get(request.path_params["name"])
        if asset is None:
            raise HTTPException(404)
        # While a new version starts, a page of the old one may ask: it gets today's file, and keeps it for no time.
        current = request.path_params["version"] == self.version
        headers = {
            "cache-control": "public, max-age=31536000, immutable" if current else "no-cache",
            "x-content-type-options": "nosniff",
            "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
            "cross-origin-resource-policy": "same-origin",
        }
        content = asset.content
        if asset.gzipped is not None:
            headers["vary"] = "Accept-Encoding"
            if "gzip" in request.headers.get("accept-encoding", ""):
                headers["content-encoding"] = "gzip"
                content = asset.gzipped
        return Response(content, headers=headers, media_type=asset.media_type)


def _read(path: Path) -> _Asset:
    content = path.read_bytes()
    gzipped = gzip.compress(content, 9, mtime=0) if path.suffix in _COMPRESSED else None
    return _Asset(content, gzipped, _MEDIA_TYPES[path.suffix])
