"""The packages of the service, which some commands need and which are a distribution of their own."""

from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from typing import Literal

from quantd.errors import ClientError

DISTRIBUTION = "quantd-server"
NUMERICS = "onnxruntime"
"""A package that the extras `worker` and `up` install, and the gateway alone does not."""


class ServerMissing(ClientError):
    """A command that needs the packages of the service, where only the client is installed."""

    code = "server.missing"


def is_server_installed() -> bool:
    """Return True if the packages of the service can be imported."""
    try:
        distribution(DISTRIBUTION)
    except PackageNotFoundError:
        return False
    return True


def require_server(command: str, extra: Literal["worker", "up"] | None = None) -> None:
    """Raise unless the packages of the service are installed.

    Args:
        command: the command or the option that needs them, as it is typed.
        extra: the extra that the command needs; None if the packages of the gateway suffice.

    Raises:
        ServerMissing: only the client is installed, or the gateway without the extra.
    """
    if is_server_installed() and (extra is None or find_spec(NUMERICS) is not None):
        return
    here = "only the gateway" if is_server_installed() else "only the client"
    if extra is None:
        needed, accepted = DISTRIBUTION, f"pip install {DISTRIBUTION}"
    else:
        needed = f"{DISTRIBUTION}[{extra}]"
        accepted = f"pip install '{needed}', or '{DISTRIBUTION}[{extra},torchscript]' for TorchScript models, too"
    raise ServerMissing(f"{command} needs {needed}, and {here} is installed here; accepted: {accepted}")
