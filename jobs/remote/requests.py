"""HTTP requests to hosts outside the service: each goes to an address that was checked."""

import ssl
from collections.abc import AsyncIterable, Mapping, Sequence

import httpx

from jobs.remote.addresses import checked_address, lookup_name


def outside_client(timeout_s: float) -> httpx.AsyncClient:
    """Return a client that follows no redirects and uses no proxy; a silent host fails after `timeout_s` seconds."""
    trust = ssl.create_default_context()  # the system's authorities, or those of SSL_CERT_FILE
    return httpx.AsyncClient(verify=trust, follow_redirects=False, trust_env=False, timeout=timeout_s)


async def checked_request(
    client: httpx.AsyncClient,
    method: str,
    url: httpx.URL,
    allowed: Sequence[str],
    headers: Mapping[str, str],
    content: str | AsyncIterable[bytes] | None = None,
) -> httpx.Request:
    """Return a request to the checked address of the URL's host; the certificate must be that of the host.

    Args:
        client: the client that will send it.
        method: the HTTP method.
        url: the URL as the caller knows it.
        allowed: host names and patterns, as `checked_address` takes them.
        headers: headers besides those of every request.
        content: the body.

    Raises:
        AddressRefused: the URL or one of its host's addresses must not be called.
        OSError: the lookup of the host failed.
    """
    address = await checked_address(url, allowed)
    return client.build_request(
        method,
        url.copy_with(host=address),
        headers={"Host": url.netloc.decode(), "User-Agent": "quantd", **headers},
        content=content,
        extensions={"sni_hostname": lookup_name(url)},
    )
