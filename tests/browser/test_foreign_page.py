"""A page of another origin reaches nothing through the browser of a signed-in person.

It has the address of another port of the same machine: browsers call that the same site, and send the session's cookie.
"""

import pytest
from playwright.sync_api import expect

from tests.browser.steps import sign_in

FOREIGN = "http://127.0.0.1:9/"


@pytest.fixture
def person(chromium, served):
    """A browser that is signed in."""
    context = chromium.new_context(base_url=served.url)
    page = context.new_page()
    page.goto("/")
    sign_in(page, served.key)
    yield page
    context.close()


def answers_to(page, served, body):
    """Open a foreign page with this body and return the status of each answer of the service, by method and path."""
    answers = {}
    page.context.route(FOREIGN, lambda route: route.fulfill(body=body, content_type="text/html"))
    page.on(
        "response",
        lambda response: answers.update(
            {(response.request.method, response.url.removeprefix(served.url)): response.status}
        ),
    )
    page.goto(FOREIGN)
    page.wait_for_load_state("networkidle")
    return answers


@pytest.mark.parametrize("path", ["/sign-out", "/sign-in", "/v1/jobs", "/jobs/job_1/delete"])
def test_a_form_that_sends_itself_changes_nothing(person, served, make_key, path):
    form = f'<form method="post" action="{served.url}{path}"><input name="key" value="{make_key("mallory")}"></form>'
    before = person.context.cookies()
    answers = answers_to(person, served, f"{form}<script>document.forms[0].submit()</script>")
    assert answers[("POST", path)] == 421
    assert person.context.cookies() == before
    person.goto("/")
    expect(person.get_by_text("vision")).to_be_visible()


def test_no_page_is_framed_and_no_answer_is_embedded(person, served):
    frames = "".join(f'<iframe src="{served.url}{path}"></iframe>' for path in ("/", "/docs", "/sign-in"))
    script = f'fetch("{served.url}/v1/models", {{credentials: "include", mode: "no-cors"}})'
    answers = answers_to(
        person, served, f'{frames}<script src="{served.url}/v1/jobs"></script><script>{script}</script>'
    )
    print(answers)
    assert answers[("GET", "/v1/jobs")] == answers[("GET", "/v1/models")] == 421
    assert [frame.url for frame in person.frames[1:]] == ["chrome-error://chromewebdata/"] * 3


def test_a_link_opens_the_page_for_the_person_alone(person, served):
    answers_to(person, served, f'<a href="{served.url}/">jobs</a>')
    person.get_by_text("jobs").click()
    expect(person.get_by_role("heading", level=1)).to_have_text("Jobs")
