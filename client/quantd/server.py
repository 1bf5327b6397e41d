"""The packages of the service, which some commands need and which are a distribution of their own."""

from importlib.metadata import PackageNotFoundError, distribution

from quantd.errors import ClientError

DISTRIBUTION = "quantd-server"


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


def require_server(command: str) -> None:
    """Raise unless the packages of the service are installed.

    Args:
        command: the command or the option that needs them, as it is typed.

    Raises:
        ServerMissing: only the client is installed.
    """
    if not is_server_installed():
        raise ServerMissing(
            f"{command} needs the package {DISTRIBUTION}, and only the client is installed here; "
            f"accepted: pip install {DISTRIBUTION}, or {DISTRIBUTION}[torchscript] for TorchScript models, too"
        )
