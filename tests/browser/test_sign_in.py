"""Signing in with an API key, and out again."""

import pytest
from playwright.sync_api import expect

from tests.browser.accessibility import findings_in_every_look
from tests.browser.steps import sign_in, sign_out
from tests.command import quantd


@pytest.fixture
def visitor(visit):
    return visit()


@pytest.fixture
def page(visitor):
    return visitor.page


def test_the_form_needs_no_mouse_and_leads_to_the_page_that_was_asked_for(page, served):
    page.goto("/?status=failed")
    expect(page.get_by_label("API key")).to_be_focused()
    page.keyboard.type(served.key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Jobs")
    assert page.url == f"{served.url}/?status=failed"


def test_the_form_works_without_scripts(visit, served):
    page = visit(java_script_enabled=False).page
    page.goto("/")
    sign_in(page, served.key)
    expect(page.get_by_role("heading", level=1)).to_have_text("Jobs")


def test_a_wrong_key_is_refused_with_a_message_that_is_spoken(visitor, page, served):
    page.goto("/sign-in")
    field = page.get_by_label("API key")
    field.fill(served.key[:-1])
    field.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("This API key is not valid. It may be mistyped, unknown or revoked.")
    assert "message" in field.get_attribute("aria-describedby")
    assert field.input_value() == ""
    assert findings_in_every_look(page) == []
    visitor.expect_problem("status of 401")


def test_no_script_can_read_the_session(visitor, page, served):
    page.goto("/")
    sign_in(page, served.key)
    assert page.evaluate("document.cookie") == ""
    (cookie,) = visitor.context.cookies()
    assert cookie["httpOnly"]
    assert cookie["sameSite"] in ("Lax", "Strict")
    assert served.key not in cookie["value"]


def test_no_address_of_another_site_is_opened_after_the_sign_in(page, served):
    page.goto("/sign-in?next=//example.org/")
    sign_in(page, served.key)
    assert page.url == f"{served.url}/"


def test_the_back_button_shows_nothing_after_the_sign_out(page, served):
    page.goto("/")
    sign_in(page, served.key)
    sign_out(page)
    page.go_back()
    expect(page.get_by_label("API key")).to_be_visible()
    assert "vision" not in page.content()


def test_a_revoked_key_ends_its_sessions(page, served, make_key):
    key = make_key("short")
    page.goto("/")
    sign_in(page, key)
    assert quantd("keys", "revoke", key.split("_")[1], "--state-dir", served.stack.folder).returncode == 0
    page.reload()
    expect(page.get_by_label("API key")).to_be_visible()


def test_axe_finds_nothing(page):
    page.goto("/sign-in")
    assert findings_in_every_look(page) == []
