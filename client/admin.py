"""The service behind `quantd keys`, `gc` and `reindex`: its records and its store, reached without HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import redis
import typer
from obstore.exceptions import BaseError as StoreError
from pydantic import ValidationError

from client.errors import ClientError, Unreachable
from jobs import admin
from jobs.settings import Settings
from jobs.stack import StackFailed

StateDir = Annotated[Path, typer.Option(help="The embedded service's folder, where QUANTD_REDIS_URL is not set.")]


@contextmanager
def administered(state_dir: Path) -> Iterator[Settings]:
    """As `jobs.admin.administered`, with what goes wrong as the command ends with it."""
    try:
        with admin.administered(state_dir) as settings:
            yield settings
    except ValidationError as error:
        raise ClientError(f"the settings are not valid: {error}") from None
    except (StackFailed, OSError, redis.RedisError, StoreError) as error:
        raise Unreachable(str(error)) from None
