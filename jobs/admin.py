"""The service that `quantd keys`, `gc` and `reindex` work on: a deployment's, or the embedded one of a folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobs.settings import Settings
from jobs.stack import ADDRESS, StackFailed, locked
from jobs.valkey import Valkey


@contextmanager
def administered(state_dir: Path) -> Iterator[Settings]:
    """The settings with which the records are reached.

    Those of the environment where QUANTD_REDIS_URL is set; else the embedded service's in `state_dir`, whose Valkey
    is started for the while if the service is not up.

    Raises:
        StackFailed: the folder is in use, and not by a service that is up.
    """
    if "redis_url" in Settings().model_fields_set:
        yield Settings()
        return
    folder = state_dir.absolute()
    folder.mkdir(parents=True, exist_ok=True)  # the first key is made before the first start
    try:
        lock = locked(folder)
    except StackFailed:
        yield Settings(state_dir=folder, redis_url=(folder / ADDRESS).read_text())
        return
    with lock:
        valkey = Valkey(folder / "valkey")
        try:
            yield Settings(state_dir=folder, redis_url=valkey.url)
        finally:
            valkey.stop()
