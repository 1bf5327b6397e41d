"""Tags on the command line: KEY=VALUE."""

from quantd.errors import ClientError


def parse_tag(option: str, text: str) -> tuple[str, str]:
    """Return the key and the value of a tag.

    Raises:
        ClientError: it has another form.
    """
    key, equals, value = text.partition("=")
    if not key or not equals or ":" in key:
        raise ClientError(f"{option} {text}: accepted: KEY=VALUE, without a colon in the key")
    return key, value
