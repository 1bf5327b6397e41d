"""The contents of an uploaded file: the check of its first bytes, and the description in its record."""

from typing import Any

from jobs.blobs import Blobs, Check, Stored
from jobs.redis_keys import Kind
from jobs.settings import Settings
from jobs.uploads.dataset_headers import check_dataset, describe_dataset
from jobs.uploads.model_format import model_format


def head_check(kind: Kind) -> Check:
    """Return the check of the first bytes of a model or dataset."""
    return model_format if kind == "model" else check_dataset


def size_limit(settings: Settings, kind: Kind) -> int:
    """Return the largest number of bytes that a model or dataset may have."""
    return settings.max_model_bytes if kind == "model" else settings.max_dataset_bytes


def describe(blobs: Blobs, kind: Kind, key: str, stored: Stored, limit: int) -> dict[str, Any]:
    """Return the format of a stored file and, for a dataset, its number of samples and its arrays.

    Args:
        blobs: the object store.
        kind: a model or a dataset.
        key: the key of the file in the store.
        stored: its digest, its size and its first bytes.
        limit: the most bytes that the arrays of a dataset may declare.

    Raises:
        QuantdError: the file cannot be used.
    """
    if kind == "model":
        return {"format": model_format(stored.head)}
    with blobs.open(key) as file:
        return describe_dataset(file, stored.size, limit)
