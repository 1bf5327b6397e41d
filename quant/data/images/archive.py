"""The members of a zip of images, in the order of their names, and the labels of the images.

The archive is untrusted: nothing is unpacked, names never become paths, and every size is limited.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from zipfile import ZipFile, ZipInfo

import numpy as np
from numpy.typing import NDArray

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
LABELS = "labels.csv"
ACCEPTED = f"{', '.join(SUFFIXES)}, and one {LABELS}"
COLUMNS = ["file", "label"]
MAX_IMAGES = 100_000
MAX_IMAGE_BYTES = 1 << 26
"""The size of the largest image file, 64 MiB, and of the largest file of labels."""
_OTHERS = ("__MACOSX", "Thumbs.db", "desktop.ini")
"""Members that file managers add, besides names that start with a point."""


@dataclass(frozen=True)
class Members:
    """The checked members of an archive: the images in the order of their names, and the file of labels."""

    images: tuple[ZipInfo, ...]
    labels: ZipInfo | None

    @property
    def bytes(self) -> int:
        """The declared size of all images."""
        return sum(member.file_size for member in self.images)


class ImageArchive:
    """The image files of an opened archive."""

    def __init__(self, path: Path) -> None:
        """Open the archive at `path`.

        Raises:
            ValueError: it holds something else than images, or more than is accepted; zipfile and its codecs raise
                other types, too.
        """
        self._zip = ZipFile(path)
        self._members = members_of(self._zip)
        self.names = [member.filename for member in self._members.images]

    def __len__(self) -> int:
        return len(self.names)

    def read(self, number: int) -> bytes:
        """Return the bytes of an image file after checking their checksum."""
        return self._zip.read(self._members.images[number])

    def labels(self) -> NDArray[np.int64] | None:
        """Return the class number of each image (N,): those of labels.csv, or the numbers of the sorted folders.

        Folders that hold everything do not count. Without labels.csv and folders there are no labels.

        Raises:
            ValueError: labels.csv or the folders do not have one label for each image.
        """
        if self._members.labels is not None:
            return _labels_of_rows(self._members.labels.filename, self._zip.read(self._members.labels), self.names)
        return _labels_of_folders(self.names)


def members_of(archive: ZipFile) -> Members:
    """Return the images of an archive, sorted by their names, and its file of labels, after checking all members.

    Raises:
        ValueError: a member is no image, encrypted, too large or named twice, or there are too many or none.
    """
    images: list[ZipInfo] = []
    labels: list[ZipInfo] = []
    for member in archive.infolist():
        if member.is_dir() or _is_ignored(member.filename):
            continue
        name, path = member.filename[:200], PurePosixPath(member.filename)
        if path.name != LABELS and path.suffix.lower() not in SUFFIXES:
            raise ValueError(f"member {name!r} is no image; accepted: {ACCEPTED}")
        if member.flag_bits & 1:
            raise ValueError(f"member {name!r} is encrypted; accepted: members without a password")
        if member.file_size > MAX_IMAGE_BYTES:
            raise ValueError(f"member {name!r} has {member.file_size} bytes; accepted: up to {MAX_IMAGE_BYTES}")
        (labels if path.name == LABELS else images).append(member)
    if not 0 < len(images) <= MAX_IMAGES or len(labels) > 1:
        raise ValueError(
            f"the archive has {len(images)} images and {len(labels)} files {LABELS}; accepted: 1 to {MAX_IMAGES} "
            f"images and up to one {LABELS}"
        )
    if len({member.filename for member in images}) < len(images):
        raise ValueError("two members have the same name; accepted: every name once")
    images.sort(key=lambda member: PurePosixPath(member.filename).parts)
    return Members(tuple(images), labels[0] if labels else None)


def _is_ignored(name: str) -> bool:
    """Return True for a file that a file manager has added."""
    return any(part in _OTHERS or (part[0] == "." and part != "..") for part in PurePosixPath(name).parts)


def _labels_of_rows(path: str, content: bytes, names: Sequence[str]) -> NDArray[np.int64]:
    """Return the labels of the images from rows `file,label`; files are named relative to the folder of labels.csv."""
    rows = csv.DictReader(io.StringIO(content.decode("utf-8-sig")))
    if rows.fieldnames is None or list(rows.fieldnames)[:2] != COLUMNS:
        raise ValueError(f"{path!r} has the columns {rows.fieldnames}; accepted: {','.join(COLUMNS)}")
    folder, labels = PurePosixPath(path).parent, dict[str, int]()
    for number, row in enumerate(rows, 2):
        name, label = str(folder / (row["file"] or "")), (row["label"] or "").strip()
        if name in labels or not label.isascii() or not label.isdigit() or len(label) > 9:
            raise ValueError(
                f"line {number} of {path!r} gives {row['file']!r} the label {label[:20]!r}; accepted: every file once, "
                "with a class number from 0"
            )
        labels[name] = int(label)
    wrong = next((name for name in names if name not in labels), None) or next(iter(labels.keys() - set(names)), None)
    if wrong is not None:
        raise ValueError(f"{wrong!r} is not both in {path!r} and in the archive; accepted: a row for every image")
    return np.array([labels[name] for name in names], np.int64)


def _labels_of_folders(names: Sequence[str]) -> NDArray[np.int64] | None:
    """Return the number of the folder of each image among the sorted folders; None if all lie in one folder."""
    folders = [PurePosixPath(name).parent.parts for name in names]
    shared = 0
    while all(len(folder) > shared and folder[shared] == folders[0][shared] for folder in folders):
        shared += 1
    if not any(len(folder) > shared for folder in folders):
        return None
    beside = next((name for name, folder in zip(names, folders, strict=True) if len(folder) == shared), None)
    if beside is not None:
        raise ValueError(
            f"image {beside!r} lies beside the folders of the classes; accepted: all images in folders, or {LABELS}"
        )
    classes = {name: number for number, name in enumerate(sorted({folder[shared] for folder in folders}))}
    return np.array([classes[folder[shared]] for folder in folders], np.int64)
