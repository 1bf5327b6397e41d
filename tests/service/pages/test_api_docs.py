"""The description of the API comes from the package, with keys on and for everybody."""

import httpx

from service.pages.assets import ASSETS, static


def test_the_page_needs_no_key_and_no_other_host(keyed):
    page = httpx.get(f"{keyed.url}/docs")
    assert page.status_code == 200
    for asset in ("vendor/swagger-ui/swagger-ui-bundle.js", "vendor/swagger-ui/swagger-ui.css", "api_docs.js"):
        assert static(asset) in page.text
    assert "https://" not in page.text


def test_the_page_shows_who_is_signed_in(keyed, alice):
    assert "Sign out" in alice.client.get("/docs").text
    assert "Sign in" in httpx.get(f"{keyed.url}/docs").text
    stale = httpx.get(f"{keyed.url}/docs", cookies={"quantd": "A" * 43})
    assert (stale.status_code, "Sign in" in stale.text) == (200, True)


def test_there_is_no_other_description_from_another_host(alice):
    assert alice.client.get("/redoc").status_code == 404
    assert alice.client.get("/docs/oauth2-redirect").status_code == 404


def test_requests_of_the_page_carry_the_token_of_the_session():
    assert b"X-CSRF-Token" in ASSETS["api_docs.js"].data
