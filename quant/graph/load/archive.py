"""Unpacking of a zip or tar that holds an ONNX model with its external data.

The archive is untrusted: no member is written outside the folder, and the unpacked size is limited.
"""

import gzip
import io
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import EDQUOT, EFBIG, ENOSPC
from pathlib import Path, PurePosixPath
from typing import IO
from zipfile import ZipFile, ZipInfo

from quant.errors import QuantdError, UnreadableModel, UnsafeModel

MAX_MEMBERS = 10_000
MAX_NAME = 1_000
CHUNK = 1 << 20
MAX_RATIO = 20
"""The largest accepted ratio of unpacked to packed size: weights hardly compress."""
MIN_SIZE_LIMIT = 1 << 28
"""An archive may unpack to this many bytes (256 MiB), however small it is."""
_MAGIC = {"zip": (0, b"PK\x03\x04"), "gzip": (0, b"\x1f\x8b"), "tar": (257, b"ustar")}
"""For each kind of archive, the offset and the value of the bytes that mark it."""
ACCEPTED = "a zip or tar with one .onnx file and its external data beside it"


def archive_kind(head: bytes) -> str | None:
    """Return "zip", "gzip" or "tar" for the first 512 bytes of such an archive, or None for another file."""
    return next((kind for kind, (offset, magic) in _MAGIC.items() if head.startswith(magic, offset)), None)


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a zip, tar or gzipped tar into the empty `folder`, and return the path of its `.onnx` file.

    Raises:
        UnsafeModel: a member is a link or device, lies outside the folder or occurs twice, or there are too many
            members or bytes.
        UnreadableModel: the archive is damaged or encrypted, or does not have exactly one `.onnx` file.
    """
    target = _Target(folder, size_limit(archive))
    with translate_errors(ACCEPTED):
        with archive.open("rb") as file:
            kind = archive_kind(file.read(512))
        (_unzip if kind == "zip" else _untar)(archive, target)
    return target.model()


def size_limit(archive: Path) -> int:
    """Return the number of bytes that an archive of this size may unpack to."""
    return max(MAX_RATIO * archive.stat().st_size, MIN_SIZE_LIMIT)


@contextmanager
def translate_errors(accepted: str) -> Iterator[None]:
    """Turn any exception of zipfile, tarfile and their codecs into UnreadableModel.

    Lack of memory or disk space is not the archive's fault and passes through.
    """
    try:
        yield
    except (QuantdError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT, EFBIG):
            raise
        reason = str(error).split("\n")[0][:200] or type(error).__name__
        raise UnreadableModel(f"the archive cannot be read ({reason}); accepted: {accepted}") from None


def check_members(archive: ZipFile, limit: int) -> list[ZipInfo]:
    """Return the files of a zip after checking their names, their number and their declared sizes.

    Raises:
        UnsafeModel: as for `unpack`.
    """
    names = MemberNames()
    members = [member for member in archive.infolist() if not member.is_dir()]
    for member in members:
        names.add(member.filename)
        kind = member.external_attr >> 28
        if kind not in (0, 0o10):  # the file type bits of a Unix mode; 0 if the archive has none
            raise _not_a_file(member.filename)
    check_size(sum(member.file_size for member in members), limit)
    return members


def check_size(size: int, limit: int) -> None:
    """Raise UnsafeModel if an archive holds more bytes than its limit."""
    if size > limit:
        raise UnsafeModel(
            f"the archive unpacks to more than {limit} bytes, {MAX_RATIO} times its size; "
            "accepted: uncompressed or moderately compressed weights"
        )


class MemberNames:
    """The member names of an archive so far: relative, inside the folder, unique in any letter case, and limited."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def add(self, name: str) -> PurePosixPath:
        """Check a name, and return it as a path.

        Raises:
            UnsafeModel: the name lies outside the folder or occurs twice, or there are too many names.
        """
        if not _is_inside(name):
            raise UnsafeModel(f"member {name[:200]!r} does not lie in the archive's folder; accepted: relative names")
        path = PurePosixPath(name)
        key = str(path).casefold()
        if key in self._seen:
            raise UnsafeModel(f"member {name[:200]!r} occurs twice; accepted: every name once")
        self._seen.add(key)
        if len(self._seen) > MAX_MEMBERS:
            raise UnsafeModel(f"the archive has too many members; accepted: up to {MAX_MEMBERS}")
        return path


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    is_relative = bool(path.parts) and not path.is_absolute() and ".." not in path.parts
    return is_relative and len(name) <= MAX_NAME and not any(sign in name for sign in "\\\0:")


def _not_a_file(name: str) -> UnsafeModel:
    return UnsafeModel(f"member {name[:200]!r} is a link or device; accepted: regular files")


class _Target:
    """The folder that members are written to, with a limit for their total size."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self._names = MemberNames()
        self._models: list[PurePosixPath] = []
        self._left = limit

    def write(self, name: str, source: IO[bytes]) -> None:
        """Write one member into the folder."""
        path = self._names.add(name)
        if path.parts[0] == "__MACOSX" or path.name.startswith("._"):  # macOS adds these to its archives
            return
        if path.suffix.lower() == ".onnx":
            self._models.append(path)
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("xb") as out:
            while chunk := source.read(min(CHUNK, self._left + 1)):
                self._left -= len(chunk)
                check_size(self.limit - self._left, self.limit)
                out.write(chunk)

    def model(self) -> Path:
        """Return the path of the only `.onnx` file.

        Raises:
            UnreadableModel: there is none, or there are several.
        """
        if len(self._models) != 1:
            names = ", ".join(repr(str(path)) for path in sorted(self._models)[:5])
            raise UnreadableModel(
                f"the archive has {len(self._models)} .onnx files{f' ({names})' if names else ''}; accepted: {ACCEPTED}"
            )
        return self.folder / self._models[0]


def _unzip(archive: Path, target: _Target) -> None:
    with ZipFile(archive) as opened:
        for member in check_members(opened, target.limit):
            with opened.open(member) as source:
                target.write(member.filename, source)


def _untar(archive: Path, target: _Target) -> None:
    with archive.open("rb") as file:
        is_gzipped = archive_kind(file.read(512)) == "gzip"
        file.seek(0)
        stream = gzip.GzipFile(fileobj=file) if is_gzipped else file
        with tarfile.open(fileobj=_LimitedStream(stream.read, 2 * target.limit), mode="r|") as opened:
            for member in opened:
                if not member.isdir():
                    _write_tar_member(opened, member, target)


def _write_tar_member(archive: tarfile.TarFile, member: tarfile.TarInfo, target: _Target) -> None:
    source = archive.extractfile(member) if member.isreg() and not member.issparse() else None
    if source is None:
        raise _not_a_file(member.name)
    check_size(member.size, target.limit)
    target.write(member.name, source)


class _LimitedStream(io.RawIOBase):
    """A stream that raises UnsafeModel after a number of bytes.

    tarfile does not limit the bytes that it skips, or that it reads at once for a header.
    """

    def __init__(self, read: Callable[[int], bytes], limit: int) -> None:
        self._read, self._left, self._limit = read, limit, limit

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, or all for -1."""
        data = self._read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(data)
        check_size(self._limit - self._left, self._limit)
        return data
