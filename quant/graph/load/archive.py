"""Unpacking a zip or tar of an ONNX model with its external data: nothing leaves the folder, nothing explodes."""

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
MAX_RATIO, ALWAYS_ALLOWED = 20, 1 << 28
"""What an archive may unpack to: 20 times its own size (weights hardly compress), or 256 MiB where that is more."""
ACCEPTED = "a zip or tar with one .onnx file and its external data beside it"


def unpack(archive: Path, folder: Path) -> Path:
    """The `.onnx` file of a zip, tar or gzipped tar, unpacked into the empty `folder` with the files beside it.

    Raises:
        UnsafeModel: a member is a link or device, leaves the folder, is there twice, or there is too much of them.
        UnreadableModel: the archive is damaged, encrypted, or has no or several `.onnx` files.
    """
    limit = max(MAX_RATIO * archive.stat().st_size, ALWAYS_ALLOWED)
    target = _Target(folder, limit)
    with readable(ACCEPTED):
        with archive.open("rb") as file:
            is_zip = file.read(4) == b"PK\x03\x04"
        (_unzip if is_zip else _untar)(archive, target)
    return _the_model(target)


@contextmanager
def readable(accepted: str) -> Iterator[None]:
    """For hostile bytes zipfile, tarfile and their codecs raise what they like: all of it is UnreadableModel.

    But it is not the archive's fault where memory or the disk is full.
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
    """The files of a zip, whose names, number and declared sizes were checked.

    Raises:
        UnsafeModel: as `unpack`.
    """
    names = Names()
    members = [member for member in archive.infolist() if not member.is_dir()]
    for member in members:
        names.add(member.filename)
        kind = member.external_attr >> 28
        if kind not in (0, 0o10):  # the file type bits of a Unix mode; 0 where the archive has none
            raise UnsafeModel(f"member {member.filename[:200]!r} is a link or device; accepted: regular files")
    check_size(sum(member.file_size for member in members), limit)
    return members


def check_size(size: int, limit: int) -> None:
    """Raises UnsafeModel where an archive of this limit holds more."""
    if size > limit:
        raise UnsafeModel(f"the archive unpacks to more than {limit} bytes, {MAX_RATIO} times its size; "
                          "accepted: uncompressed or moderately compressed weights")  # fmt: skip


class Names:
    """The names seen so far: relative, inside the folder, each once whatever its letters' case, not too many."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def add(self, name: str) -> PurePosixPath:
        path = PurePosixPath(name)
        if (
            not path.parts
            or path.is_absolute()
            or ".." in path.parts
            or len(name) > MAX_NAME
            or any(sign in name for sign in "\\\0:")
        ):
            raise UnsafeModel(f"member {name[:200]!r} does not lie in the archive's folder; accepted: relative names")
        key = str(path).casefold()
        if key in self._seen:
            raise UnsafeModel(f"member {name[:200]!r} is there twice; accepted: every name once")
        self._seen.add(key)
        if len(self._seen) > MAX_MEMBERS:
            raise UnsafeModel(f"the archive has more than {MAX_MEMBERS} members")
        return path


class _Target:
    """The folder that members are written to, and how much may be."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self._names = Names()
        self.models: list[PurePosixPath] = []
        self._left = limit

    def write(self, name: str, source: IO[bytes]) -> None:
        path = self._names.add(name)
        if path.parts[0] == "__MACOSX" or path.name.startswith("._"):  # what macOS adds to its archives
            return
        if path.suffix.lower() == ".onnx":
            self.models.append(path)
        where = self.folder / path
        where.parent.mkdir(parents=True, exist_ok=True)
        with where.open("xb") as out:
            while chunk := source.read(min(CHUNK, self._left + 1)):
                self._left -= len(chunk)
                check_size(self.limit - self._left, self.limit)
                out.write(chunk)


def _unzip(archive: Path, target: _Target) -> None:
    with ZipFile(archive) as opened:
        for member in check_members(opened, target.limit):
            with opened.open(member) as source:
                target.write(member.filename, source)


def _untar(archive: Path, target: _Target) -> None:
    with archive.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        stream = gzip.GzipFile(fileobj=file) if packed else file
        with tarfile.open(fileobj=_Counted(stream.read, 2 * target.limit), mode="r|") as opened:
            for member in opened:
                if member.isdir():
                    continue
                source = opened.extractfile(member) if member.isreg() and not member.issparse() else None
                if source is None:
                    raise UnsafeModel(f"member {member.name[:200]!r} is a link or device; accepted: regular files")
                check_size(member.size, target.limit)
                target.write(member.name, source)


class _Counted(io.RawIOBase):
    """A stream that ends a bomb in what is skipped or read at once, such as a header: tarfile does not count it."""

    def __init__(self, read: Callable[[int], bytes], limit: int) -> None:
        self._read, self._left, self._limit = read, limit, limit

    def read(self, size: int = -1, /) -> bytes:
        data = self._read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(data)
        check_size(self._limit - self._left, self._limit)
        return data


def _the_model(target: _Target) -> Path:
    if len(target.models) != 1:
        found = ", ".join(repr(str(path)) for path in sorted(target.models)[:5])
        raise UnreadableModel(f"the archive has {len(target.models)} .onnx files{f' ({found})' if found else ''}; "
                              f"accepted: {ACCEPTED}")  # fmt: skip
    return target.folder / target.models[0]
