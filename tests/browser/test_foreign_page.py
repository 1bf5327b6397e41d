"""A page of another origin reaches nothing through the browser of a signed-in person.

It has the address of another port of the same machine: browsers call that the same site, and send the session's cookie.
"""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import expect

from tests.browser.steps import sign_in


@pytest.fixture(scope="module")
def foreign():
    """A server of another origin that answers everything with `body`."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(server.body.encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def person(chromium, served):
    """A browser that is signed in."""
    context = chromium.new_context(base_url=served.url)
    page = context.new_page()
    page.goto("/")
    sign_in(page, served.key)
    yield page
    context.close()


def answer_to(page, foreign, body, path):
    """Open a foreign page with this body and return the status that the service answers to its request of `path`."""
    foreign.body = body
    with page.expect_response(lambda response: response.url.endswith(path)) as answer:
        page.goto(f"http://127.0.0.1:{foreign.server_port}/")
    return answer.value.status


@pytest.mark.parametrize("path", ["/sign-out", "/sign-in", "/v1/jobs", "/jobs/job_1/delete"])
def test_a_form_that_sends_itself_changes_nothing(person, served, foreign, make_key, path):
    form = f'<form method="post" action="{served.url}{path}"><input name="key" value="{make_key("mallory")}"></form>'
    before = person.context.cookies()
    script = "<script>document.forms[0].submit()</script>"
    assert answer_to(person, foreign, form + script, path) == 421
    assert person.context.cookies() == before
    person.goto("/")
    expect(person.get_by_text("vision")).to_be_visible()


def test_no_answer_is_read(person, served, foreign):
    script = f'fetch("{served.url}/v1/models", {{credentials: "include", mode: "no-cors"}})'
    assert answer_to(person, foreign, f"<script>{script}</script>", "/v1/models") == 421


@pytest.mark.parametrize(("path", "status"), [("/?", 421), ("/docs", 200), ("/sign-in", 200)])
def test_no_page_is_framed(person, served, foreign, path, status):
    assert answer_to(person, foreign, f'<iframe src="{served.url}{path}"></iframe>', path) == status
    person.wait_for_function("document.querySelector('iframe').contentDocument === null")
    assert [frame.url for frame in person.frames[1:]] == ["chrome-error://chromewebdata/"]


def test_a_link_opens_the_page_for_the_person_alone(person, served, foreign):
    answer_to(person, foreign, f'<a href="{served.url}/">jobs</a>', "/")
    person.get_by_text("jobs").click()
    expect(person.get_by_role("heading", level=1)).to_have_text("Jobs")
