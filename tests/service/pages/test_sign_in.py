"""Signing in with an API key: the session's cookie, wrong keys, redirects and foreign pages."""

import pytest

from jobs.keys import Scope
from service.pages.sign_in import INVALID
from tests.service.conftest import csrf_token_of


@pytest.fixture
def browser(new_browser):
    return new_browser()


@pytest.fixture
def key(keyring):
    return keyring.create("alice", "trial", tuple(Scope))[1]


@pytest.mark.parametrize(
    "path", ["/", "/new", "/jobs/job_1", "/nothing", "/?status=failed&tag=a%3Ab", "/jobs/%C3%A9%20x"]
)
def test_a_page_without_a_session_leads_to_the_sign_in_and_back(browser, key, path):
    asked = browser.get(path)
    assert asked.status_code == 303
    form = browser.get(asked.headers["location"])
    assert form.status_code == 200
    signed_in = browser.post("/sign-in", data={"key": key, "next": _hidden_next(form)})
    assert (signed_in.status_code, signed_in.headers["location"]) == (303, path)


def _hidden_next(form):
    return form.text.split('name="next" value="')[1].split('"')[0].replace("&amp;", "&")


@pytest.mark.parametrize(("accept", "path"), [("text/html", "/v1/jobs"), ("*/*", "/"), ("application/json", "/jobs/x")])
def test_a_script_without_a_session_gets_a_problem(new_browser, accept, path):
    refused = new_browser(accept).get(path)
    assert (refused.status_code, refused.json()["code"]) == (401, "auth.required")


def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites(browser, key):
    (cookie,) = browser.post("/sign-in", data={"key": key}).headers.get_list("set-cookie")
    name, *attributes = cookie.split("; ")
    assert name.startswith("quantd=")
    assert set(attributes) == {"HttpOnly", "Path=/", "SameSite=lax"}
    assert key not in cookie


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://quantd.example", "Sec-Fetch-Site": "same-origin"}, {"X-Forwarded-Proto": "https"}]
)
def test_behind_https_the_cookie_is_secure_and_bound_to_the_host(browser, key, headers):
    cookie = browser.post("/sign-in", data={"key": key}, headers=headers).headers["set-cookie"]
    assert cookie.startswith("__Host-quantd=")
    assert "Secure" in cookie
    assert "Domain" not in cookie


def test_a_cookie_under_another_name_than_it_was_issued_with_is_no_session(new_browser, key):
    issued = new_browser().post("/sign-in", data={"key": key}, headers={"X-Forwarded-Proto": "https"})
    token = issued.headers["set-cookie"].split("=")[1].split(";")[0]
    assert new_browser(Cookie=f"__Host-quantd={token}").get("/").status_code == 200
    assert new_browser(Cookie=f"quantd={token}").get("/").status_code == 303


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example", "javascript:alert(1)", "", "x",
        "/\t/evil.example", "/\n/evil.example", "/a\r\nSet-Cookie: x=y", "/é", "/" + "a" * 3000,
    ],
)  # fmt: skip
def test_no_target_outside_of_the_service_is_opened(browser, key, target):
    answer = browser.post("/sign-in", data={"key": key, "next": target})
    assert answer.headers["location"] == "/"


def test_the_answer_to_a_wrong_key_does_not_tell_what_was_wrong(browser, keyring, key):
    revoked, text = keyring.create("alice", "old", tuple(Scope))
    keyring.revoke(revoked.id)
    wrong = ["", "x", key[:-1], key[:-1] + ("A" if key[-1] != "A" else "B"), f"qd_{'0' * 16}_{'A' * 43}", text]
    pages = [browser.post("/sign-in", data={"key": text}) for text in wrong]
    assert {page.status_code for page in pages} == {401}
    assert all("set-cookie" not in page.headers for page in pages)
    assert len({page.text for page in pages}) == 1
    assert INVALID in pages[0].text


def test_sign_ins_that_fail_again_and_again_are_refused_for_a_while(new_browser, key):
    attacker = new_browser()
    codes = [attacker.post("/sign-in", data={"key": "x"}).status_code for _ in range(24)]  # a minute may turn once
    assert codes[:10] == [401] * 10
    assert 429 in codes
    assert attacker.post("/sign-in", data={"key": key}).status_code == 429
    assert new_browser().post("/sign-in", data={"key": key}).status_code == 303


def test_addresses_of_one_ipv6_network_are_counted_together(new_browser, key):
    codes = [
        new_browser(address=f"2001:db8:0:{network}::{n}").post("/sign-in", data={"key": "x"}).status_code
        for network, n in [*((1, n) for n in range(1, 25)), (2, 1)]
    ]
    assert 429 in codes[:-1]
    assert codes[-1] == 401


FOREIGN = [
    {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]  # fmt: skip


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_foreign_page_signs_nobody_in(browser, key, headers):
    refused = browser.post("/sign-in", data={"key": key}, headers=headers)
    assert refused.status_code == 421
    assert "set-cookie" not in refused.headers


def test_every_sign_in_has_a_new_token_and_adopts_none(new_browser, key):
    planted = "A" * 43
    browser = new_browser(Cookie=f"quantd={planted}")
    tokens = [browser.post("/sign-in", data={"key": key}).headers["set-cookie"].split(";")[0] for _ in range(2)]
    assert len({*tokens, f"quantd={planted}"}) == 3
    assert new_browser(Cookie=f"quantd={planted}").get("/").status_code == 303


def test_a_sign_in_ends_the_earlier_session_of_the_browser(new_person, new_browser):
    person = new_person()
    earlier = person.client.cookies["quantd"]
    person.client.post("/sign-in", data={"key": person.key})
    assert person.client.get("/").status_code == 200
    assert new_browser(Cookie=f"quantd={earlier}").get("/").status_code == 303


def test_a_sign_out_ends_the_session_everywhere(new_person, new_browser):
    person = new_person()
    token = person.client.cookies["quantd"]
    answer = person.client.post("/sign-out", data={"csrf_token": person.csrf_token})
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert "quantd" not in person.client.cookies
    assert new_browser(Cookie=f"quantd={token}").get("/").status_code == 303


def test_a_sign_out_needs_the_token_and_without_a_session_shows_the_form(new_person, browser):
    person = new_person()
    assert person.client.post("/sign-out").status_code == 403
    assert person.client.get("/").status_code == 200
    assert browser.post("/sign-out").headers["location"] == "/sign-in"


def test_revoking_the_key_ends_its_sessions(new_person, keyring):
    person = new_person()
    assert person.client.get("/").status_code == 200
    keyring.revoke(person.key_id)
    assert person.client.get("/").status_code == 303
    assert person.client.get("/v1/jobs").status_code == 401


def test_a_session_has_the_scopes_of_its_key(new_person):
    reader = new_person(scopes=(Scope.READ,))
    page = reader.client.get("/")
    assert "New job" not in page.text
    headers = {"X-CSRF-Token": csrf_token_of(page)}
    refused = reader.client.post("/v1/models", content=b"x", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "auth.scope")
    assert reader.client.post("/sign-out", headers=headers).status_code == 303


def test_a_session_has_the_limits_of_its_key(new_person):
    person = new_person(rate=5)
    pages = [person.client.get("/") for _ in range(12)]
    assert {page.status_code for page in pages} == {200, 429}
    limited = next(page for page in pages if page.status_code == 429)
    assert limited.headers["retry-after"]
    assert 'role="alert"' in limited.text


def test_nobody_needs_to_sign_in_while_authentication_is_off(http):
    assert http.get("/", headers={"Accept": "text/html"}).status_code == 200
    assert http.get("/sign-in").headers["location"] == "/"


def test_a_form_that_is_not_encrypted_warns_of_the_network(browser):
    assert "not encrypted" not in browser.get("/sign-in").text
    assert "not encrypted" in browser.get("/sign-in", headers={"Host": "quantd.example"}).text
    for secure in ({"X-Forwarded-Proto": "https"}, {"Sec-Fetch-Site": "none"}):
        page = browser.get("/sign-in", headers={"Host": "quantd.example", **secure})
        assert "not encrypted" not in page.text
