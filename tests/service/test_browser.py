"""Requests of browsers: the page that they come from, and the cookie of a session."""

import pytest
from fastapi import Response
from starlette.datastructures import Headers

from jobs.errors import InvalidCsrfToken, Misdirected
from service.browser import (
    COOKIE,
    SECURE_COOKIE,
    check_csrf_token,
    check_same_origin,
    cookie_name,
    delete_session_cookie,
    session_cookie,
    set_session_cookie,
)

LINK = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {}), ("POST", {}), ("POST", {"sec-fetch-site": "same-origin"}), ("GET", {"sec-fetch-site": "none"}),
        ("POST", {"origin": "http://quantd:8000", "host": "quantd:8000"}), ("GET", LINK),
        # a proxy that changes the host: the browser itself says where the request comes from
        ("POST", {"sec-fetch-site": "same-origin", "origin": "https://quantd.example", "host": "gateway:8000"}),
    ],
)  # fmt: skip
def test_requests_of_our_own_pages_and_of_scripts_pass(method, headers):
    check_same_origin(Headers(headers), method)


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("POST", LINK), ("GET", LINK | {"sec-fetch-dest": "iframe"}), ("GET", LINK | {"sec-fetch-mode": "no-cors"}),
        ("GET", {"sec-fetch-site": "same-site"}), ("POST", {"sec-fetch-site": "x"}),
        ("POST", {"origin": "http://quantd:8001", "host": "quantd:8000"}),
        ("POST", {"origin": "null", "host": "quantd:8000"}),
        ("POST", {"origin": "https://evil.example", "sec-fetch-site": "cross-site", "host": "evil.example"}),
    ],
)  # fmt: skip
def test_requests_of_other_pages_are_refused(method, headers):
    with pytest.raises(Misdirected):
        check_same_origin(Headers(headers), method)


def test_the_cookie_is_secure_where_the_browser_came_by_https():
    assert cookie_name("http", Headers({"origin": "https://quantd.example"})) == SECURE_COOKIE
    assert cookie_name("https", Headers({})) == SECURE_COOKIE
    assert cookie_name("http", Headers({"origin": "http://localhost:8000"})) == COOKIE


@pytest.mark.parametrize("name", [COOKIE, SECURE_COOKIE])
def test_a_cookie_is_deleted_with_the_attributes_it_was_set_with(name):
    response = Response()
    set_session_cookie(response, name, "token")
    delete_session_cookie(response, name)
    begun, ended = response.headers.getlist("set-cookie")
    assert set(begun.split("; ")[1:]) <= set(ended.split("; "))
    assert ("Secure" in begun) == (name == SECURE_COOKIE)


def test_the_secure_cookie_goes_first_and_empty_ones_are_none():
    assert session_cookie({COOKIE: "a", SECURE_COOKIE: "b"}) == (SECURE_COOKIE, "b")
    assert session_cookie({COOKIE: "a"}) == (COOKIE, "a")
    assert session_cookie({COOKIE: "", "other": "x"}) is None


@pytest.mark.parametrize("sent", [None, "", "x", "é", 7])
def test_only_the_session_s_token_passes(sent):
    check_csrf_token("token", "token")
    with pytest.raises(InvalidCsrfToken):
        check_csrf_token("token", sent)
