"""The file of `quantd batch`: the body of `POST /v1/batches` with files in the place of ids."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quantd.answers import Document
from quantd.api import Client
from quantd.errors import ClientError
from quantd.sources import Source, file_or_source
from quantd.spec import read_mapping

_ID = re.compile(r"(model|dataset)_[0-9a-f]{32}")
_KINDS = {"model": "model", "calibration": "dataset", "evaluation": "dataset"}
"""The kind of upload for each input of a job."""


def read_batch(path: Path) -> dict[str, Any]:
    """Return the batch of a YAML or JSON file; a text among its `specs` names a file with a spec.

    Raises:
        ClientError: a file cannot be read, or is no mapping.
    """
    batch = read_mapping(path, "batch")
    specs = batch.get("specs")
    if isinstance(specs, list):
        batch["specs"] = [read_mapping(path.parent / spec, "spec") if isinstance(spec, str) else spec for spec in specs]
    return batch


def upload_files(client: Client, batch: Mapping[str, Any], folder: Path) -> tuple[Document, dict[str, str]]:
    """Return the batch with the ids of its models and datasets, after uploading or fetching each of them once.

    The second value has the names in the file by id.

    Args:
        client: a client of the service.
        batch: the batch of `read_batch`.
        folder: the folder that relative paths start from.

    Raises:
        ClientError: a file cannot be read, or the service refused it.
    """
    ids: dict[tuple[str, str], str] = {}

    def id_of(kind: str, name: Any) -> Any:
        if not isinstance(name, str) or _ID.fullmatch(name):
            return name
        if (kind, name) not in ids:
            ids[kind, name] = _store(client, kind, name, folder)
        return ids[kind, name]

    def with_ids(entry: Any) -> Any:
        if not isinstance(entry, dict):
            return entry
        return {key: id_of(_KINDS[key], value) if key in _KINDS else value for key, value in entry.items()}

    body: Document = with_ids(dict(batch))
    for key, convert in {"models": lambda name: id_of("model", name), "jobs": with_ids}.items():
        if isinstance(batch.get(key), list):
            body[key] = [convert(entry) for entry in batch[key]]
    return body, {upload_id: name for (_, name), upload_id in ids.items()}


def _store(client: Client, kind: str, name: str, folder: Path) -> str:
    file = file_or_source(name)
    if isinstance(file, Source):
        return (client.add_model(name) if kind == "model" else client.add_dataset(name)).id
    path = folder / file
    if not path.is_file():
        raise ClientError(f"{path}: there is no such file; accepted: a file, a location, or the id of a {kind}")
    return (client.upload(path) if kind == "model" else client.upload_dataset(path)).id
