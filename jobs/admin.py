"""Access to the records for `quantd keys`, `gc` and `reindex`: of a deployment, or of an embedded service."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobs.settings import Settings
from jobs.stack import ADDRESS, StackFailed, locked
from jobs.valkey import Valkey


@contextmanager
def administered(state_dir: Path) -> Iterator[Settings]:
    """Yield the settings that reach the records.

    If QUANTD_REDIS_URL is set, they are those of the environment. Otherwise they are those of the embedded service in
    `state_dir`, whose Valkey is started for the duration of the block unless the service is running.

    Raises:
        StackFailed: the folder is in use, and no service in it is running.
    """
    if "redis_url" in Settings().model_fields_set:
        yield Settings()
        return
    folder = state_dir.absolute()
    folder.mkdir(parents=True, exist_ok=True)  # the first key may be created before the first start
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
