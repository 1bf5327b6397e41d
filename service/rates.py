"""Rate limits: requests a minute of an API key, and failed sign-ins a minute of an address."""

import ipaddress
import math
import time
from collections.abc import Mapping

from limits import RateLimitItemPerMinute

from jobs.errors import RateLimited
from service.context import Context

POLICY = "requests"
SIGN_INS = RateLimitItemPerMinute(10)
"""The failed sign-ins that are answered a minute from one address."""


def count_request(context: Context, key_id: str, rate: int) -> dict[str, str]:
    """Count a request and return the headers of draft-ietf-httpapi-ratelimit-headers-11.

    `r` is the number of requests that remain in this window of `w` seconds, which ends in `t` seconds. `Retry-After`
    is among the headers if the request is over the limit.
    """
    item = RateLimitItemPerMinute(rate)
    allowed = context.rates.hit(item, key_id)
    window = context.rates.get_window_stats(item, key_id)
    seconds_left = max(math.ceil(window.reset_time - time.time()), 1)
    headers = {
        "RateLimit-Policy": f'"{POLICY}";q={rate};w={item.get_expiry()}',
        "RateLimit": f'"{POLICY}";r={window.remaining};t={seconds_left}',
    }
    return headers if allowed else headers | {"Retry-After": str(seconds_left)}


def check_rate(headers: Mapping[str, str], rate: int) -> None:
    """Refuse a counted request that is over the limit.

    Raises:
        RateLimited: it is.
    """
    if "Retry-After" in headers:
        raise RateLimited(f"the limit is {rate} requests a minute; try again in {headers['Retry-After']} s")


def check_sign_ins(context: Context, address: str) -> None:
    """Refuse a sign-in from an address with too many failed ones in this minute.

    Raises:
        RateLimited: it has.
    """
    if not context.rates.test(SIGN_INS, "sign-in", _network(address)):
        raise RateLimited(f"{SIGN_INS.amount} sign-ins failed within a minute; try again in a minute")


def count_failed_sign_in(context: Context, address: str) -> None:
    """Count a failed sign-in from an address."""
    context.rates.hit(SIGN_INS, "sign-in", _network(address))


def _network(address: str) -> str:
    """Return the address, or the network of an IPv6 address: one caller has 2^64 addresses there."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address
