"""Downloads of artifacts, resumed after an interruption and verified by their digest."""

import hashlib
from io import BufferedRandom
from pathlib import Path

from quantd.errors import ClientError
from quantd.retry import retry
from quantd.steps import Call, Flow, Receive


def download(url: str, sha256: str, path: Path) -> Flow[None]:
    """Write the bytes at a URL to a file; the file is unchanged unless the download succeeds.

    Raises:
        ClientError: the bytes do not have this SHA-256, or the file cannot be written.
        Unreachable: the service does not answer.
    """
    part = path.with_name(path.name + ".part")
    try:
        with part.open("w+b") as file:
            yield from retry(lambda: _receive_rest(url, file), file.tell)
            received = yield Call(lambda: _digest(file))
        if received != sha256:
            raise ClientError(f"{path.name} arrived with the SHA-256 {received}, not {sha256}; download it again")
        part.replace(path)
    except OSError as error:
        raise ClientError(f"{path}: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)


def _receive_rest(url: str, file: BufferedRandom) -> Flow[None]:
    yield Receive(url, file)


def _digest(file: BufferedRandom) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()
