"""The description of the API, from packaged files."""

import pytest
from playwright.sync_api import expect

from tests.browser.accessibility import findings_in_every_look


@pytest.fixture
def page(visit):
    page = visit().page
    page.goto("/docs")
    expect(page.get_by_text("/v1/jobs", exact=True).first).to_be_visible()
    return page


def test_the_description_is_complete_without_a_session_and_without_a_network(page, api):
    paths = api.get("/openapi.json").json()["paths"]
    methods = {"get", "post", "put", "patch", "delete", "head", "options"}
    operations = sum(len(methods & set(path)) for path in paths.values())
    expect(page.locator(".opblock")).to_have_count(operations)


def test_axe_finds_nothing(page):
    assert findings_in_every_look(page) == []
