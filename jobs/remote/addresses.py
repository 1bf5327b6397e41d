"""Checks of a caller's URL and of the addresses behind its host (protection against SSRF and DNS rebinding)."""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from fnmatch import fnmatchcase

import httpx

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
"""The only IPv6 addresses that are given to hosts of the internet (RFC 4291)."""
_SPECIAL = tuple(
    ipaddress.ip_network(network) for network in ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20", "2001::/23")
)
"""Special networks (IANA's registries) that Python 3.11 takes for global ones, in whole or in part."""
MOST_OF_A_LABEL, MOST_OF_A_NAME = 63, 253
"""The longest label and the longest name of a host (RFC 1035)."""
MOST_OF_A_PORT = 65535
"""The highest port."""


class AddressRefused(Exception):
    """A URL that must not be called."""


def parse_url(text: str) -> httpx.URL:
    """Return a URL whose host can be read; httpx itself checks an internationalized name only when it is read.

    Raises:
        AddressRefused: it is no URL.
    """
    try:
        url = httpx.URL(text)
        url.host  # noqa: B018 - raises for a name that IDNA does not allow
    except (httpx.InvalidURL, ValueError):
        raise AddressRefused("is not a URL; accepted: https://host/path") from None
    return url


def check_url(url: str, allowed: Sequence[str]) -> None:
    """Check a URL without looking up its host; `allowed` holds host names and patterns.

    Raises:
        AddressRefused: it is not an http(s) URL, carries credentials, or names a host that is not allowed.
    """
    parts = parse_url(url)
    port = 443 if parts.port is None else parts.port
    if parts.scheme not in ("https", "http") or not parts.host or parts.userinfo or not 0 < port <= MOST_OF_A_PORT:
        raise AddressRefused("is not an https URL without credentials; accepted: https://host/path")
    host = lookup_name(parts)
    labels = host.removesuffix(".").split(".")
    if len(host) > MOST_OF_A_NAME or not all(0 < len(label) <= MOST_OF_A_LABEL for label in labels):
        raise AddressRefused(
            f"names a host that no DNS server can hold; accepted: at most {MOST_OF_A_NAME} characters, and 1 to "
            f"{MOST_OF_A_LABEL} between two dots"
        )
    if not any(fnmatchcase(host, pattern) for pattern in allowed):
        raise AddressRefused(f"names the host {host!r}; accepted: {', '.join(allowed) or 'none'}")
    if parts.scheme == "http" and host not in allowed:
        raise AddressRefused("uses plain http; accepted: https, or a host that the operator allowed by its full name")


async def checked_address(url: httpx.URL, allowed: Sequence[str]) -> str:
    """Return the IP address to connect to.

    The host is looked up once. If any of its addresses is private, it is refused, unless `allowed` has its full name.

    Raises:
        AddressRefused: the URL or one of its host's addresses must not be called.
        OSError: the lookup failed.
    """
    check_url(str(url), allowed)
    host = lookup_name(url)
    infos = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    addresses = [str(info[4][0]) for info in infos]
    private = [address for address in addresses if not _is_public(address)]
    if private and host not in allowed:
        raise AddressRefused(f"{host} resolves to {private[0]}, which is not a public address")
    return addresses[0]


def lookup_name(url: httpx.URL) -> str:
    """Return the URL's host as it is looked up: in ASCII and lower case."""
    return url.raw_host.decode().lower()


def _is_public(address: str) -> bool:
    """Return True if the address is on the public internet; an IPv4 address inside an IPv6 one is judged itself."""
    parsed = ipaddress.ip_address(address.split("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        embedded = parsed.ipv4_mapped or parsed.sixtofour or (parsed.teredo[1] if parsed.teredo else None)
        if parsed in _NAT64:
            embedded = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        if embedded is None and parsed not in _GLOBAL_UNICAST:
            return False
        parsed = embedded or parsed
    return parsed.is_global and not parsed.is_multicast and not any(parsed in network for network in _SPECIAL)
