"""Static assets: the packaged files below `service/static/`, served with their digest as ETag."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath

from fastapi import APIRouter, Request, Response

from jobs.errors import NotFound

MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
"""The media type by a file's suffix; a file with another suffix, such as a licence, is not served."""
IMMUTABLE = "public, max-age=31536000, immutable"

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Asset:
    """A packaged file with its media type and the SHA-256 of its bytes."""

    data: bytes
    media_type: str
    sha256: str


def _read_all(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Asset]]:
    """Yield the path below `service/static/` and the content of every file that has a media type."""
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _read_all(entry, f"{prefix}{entry.name}/")
        elif media_type := MEDIA_TYPES.get(PurePosixPath(entry.name).suffix):
            data = entry.read_bytes()
            yield prefix + entry.name, Asset(data, media_type, hashlib.sha256(data).hexdigest())


ASSETS = dict(_read_all(files("service") / "static"))
"""The assets by path. A request is looked up here and never reaches the file system."""


def static(path: str) -> str:
    """Return the URL of an asset, with its digest, so that a browser may keep it for ever.

    Raises:
        KeyError: no such file is packaged.
    """
    return f"/static/{path}?v={ASSETS[path].sha256[:16]}"


@router.get("/static/{path:path}")
def get_asset(request: Request, path: str, v: str = "") -> Response:
    """Return an asset; a URL without the current digest must be revalidated.

    Raises:
        NotFound: no such file is packaged.
    """
    asset = ASSETS.get(path)
    if asset is None:
        raise NotFound(f"there is no asset {path!r}")
    headers = {
        "ETag": f'"{asset.sha256}"',
        "Cache-Control": IMMUTABLE if v == asset.sha256[:16] else "no-cache",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(asset.data, headers=headers, media_type=asset.media_type)
