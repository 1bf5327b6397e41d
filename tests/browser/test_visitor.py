"""The checks that hold for every page find what they look for."""

import hashlib
import re

import pytest

from tests.browser.accessibility import SCRIPT, findings


@pytest.fixture
def visitor(visit):
    return visit()


def serve(visitor, body, policy="default-src 'none'"):
    """Serve a page at the service's address and open it."""
    headers = {"Content-Type": "text/html", "Content-Security-Policy": policy}
    html = f'<!doctype html><html lang="en"><title>t</title><main>{body}</main></html>'
    visitor.context.route("**/trial", lambda route: route.fulfill(body=html, headers=headers))
    visitor.page.goto("/trial")


def test_a_request_to_another_host_is_a_problem(visitor):
    serve(visitor, '<h1>t</h1><img alt="" src="http://example.org/x.png">', policy="img-src *")
    visitor.expect_problem(r"foreign request: GET http://example\.org/x\.png")
    visitor.expect_problem("ERR_NAME_NOT_RESOLVED")


def test_a_violation_of_the_policy_is_a_problem(visitor):
    serve(visitor, "<h1>t</h1><script>document.title = 'forged'</script>", policy="script-src 'self'")
    visitor.expect_problem("Content Security Policy")
    assert visitor.page.title() == "t"


def test_an_uncaught_exception_is_a_problem(visitor):
    serve(visitor, "<h1>t</h1><script>missing()</script>", policy="script-src 'unsafe-inline'")
    visitor.expect_problem("missing is not defined")


def test_axe_finds_an_image_without_a_text(visitor):
    serve(visitor, '<h1>t</h1><img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">', policy="img-src data:")
    (finding,) = findings(visitor.page)
    assert finding.startswith("image-alt (critical)")


def test_axe_finds_a_faint_text_where_the_policy_allows_no_script(visitor):
    serve(visitor, '<h1>t</h1><p style="color: #bbb">faint</p>', policy="style-src 'unsafe-inline'")
    (finding,) = findings(visitor.page)
    assert finding.startswith("color-contrast (serious)")


def test_axe_is_the_file_that_its_readme_names():
    named = re.search(r"`([0-9a-f]{64})`", (SCRIPT.parent / "README.md").read_text())
    assert named is not None
    assert hashlib.sha256(SCRIPT.read_bytes()).hexdigest() == named.group(1)
