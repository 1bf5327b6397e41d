"""Direct access to a service's records and blobs, without HTTP, for `quantd keys`, `usage`, `gc` and `reindex`."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from obstore.exceptions import BaseError as StoreError
from pydantic import ValidationError

from jobs import admin
from jobs.audit import AuditLog
from jobs.blobs import Blobs
from jobs.keys import Keys
from jobs.settings import Settings
from jobs.stack import StackFailed
from quantd.errors import ClientError, Unreachable


@contextmanager
def administered(state_dir: Path) -> Iterator[Settings]:
    """Yield the settings that reach the service's records, as `jobs.admin.administered` does.

    Raises:
        ClientError: the settings in the environment are not valid.
        Unreachable: Redis, the object store or the state folder cannot be reached.
    """
    try:
        with admin.administered(state_dir) as settings:
            yield settings
    except ValidationError as error:
        raise ClientError(f"the settings are not valid: {error}") from None
    except (StackFailed, OSError, redis.RedisError, StoreError) as error:
        raise Unreachable(str(error)) from None


@contextmanager
def administered_keys(state_dir: Path) -> Iterator[Keys]:
    """Yield the API keys of the service, with the errors of `administered`."""
    with administered(state_dir) as settings:
        yield Keys(settings.redis_url, Blobs(settings.store_url))


def audit(action: str, tenant: str | None = None, *ids: str) -> None:
    """Write a command of this operator to the audit log of the settings, if there is one."""
    log = AuditLog(Settings().audit_log)
    log.write(tenant=tenant, key=None, action=action, ids=ids, outcome="done", user=getpass.getuser())
    log.close()
