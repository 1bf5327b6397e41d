"""From the upload to the report to the comparison, with the keyboard alone, as one person goes through it."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.steps import sign_out

MOST_TABS = 150
OUTLINED = (
    "e => [e, e.parentElement, e.closest('label')].some(part => part && getComputedStyle(part).outlineStyle !== 'none')"
)
QUICK_OPTIONS = "weights: {clipping: minmax, distributions: [gaussian]}"


@pytest.fixture
def key(make_key):
    """A key of a tenant that has nothing yet."""
    return make_key("newcomer")


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until an element has the focus, and check that the focus can be seen.

    Raises:
        AssertionError: the element is not reached.
    """
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            assert target.evaluate(OUTLINED), f"the focus on {target} cannot be seen"
            return
    raise AssertionError(f"{MOST_TABS} tabs do not reach {target}")


def press(page: Page, target: Locator) -> None:
    """Reach a link or a button with Tab and press Enter."""
    tab_to(page, target)
    page.keyboard.press("Enter")


def upload(page: Page, role: str, path) -> None:
    """Choose a file for a role and wait until it is uploaded."""
    tab_to(page, page.locator(f"#file-{role}"))
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files(path)
    expect(page.locator(f"#{role} option:checked")).to_contain_text(path.name)


def choose_preset(page: Page, preset: str) -> None:
    """Reach the group of presets with Tab and choose one with the arrow keys."""
    radio = page.locator(f"input[name=preset][value={preset}]")
    tab_to(page, page.locator("input[name=preset]:checked"))
    for _ in range(12):
        if radio.is_checked():
            return
        page.keyboard.press("ArrowDown")
    raise AssertionError(f"the arrow keys do not reach {preset}")


def start(page: Page) -> None:
    """Start the job with the button and wait until it has succeeded, without loading the page again."""
    press(page, page.get_by_role("button", name="Start the job"))
    page.wait_for_url(re.compile("/jobs/job_"))
    page.evaluate("window.same = true")
    expect(page.get_by_role("article").get_by_text("succeeded").first).to_be_visible(timeout=120_000)
    assert page.evaluate("window.same"), "the page was loaded again"


def test_a_newcomer_goes_from_an_upload_to_a_comparison(visit, key, examples):
    page = visit().page
    page.on("filechooser", lambda _: None)  # from now on, no key opens a window of the system
    page.goto("/")
    expect(page.get_by_label("API key")).to_be_focused()
    page.keyboard.type(key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="No jobs yet")).to_be_visible()
    press(page, page.get_by_role("main").get_by_role("link", name="New job"))
    upload(page, "model", examples / "digits.onnx")
    upload(page, "calibration", examples / "digits_calibration.npz")
    upload(page, "evaluation", examples / "digits_evaluation.npz")
    choose_preset(page, "int4")
    tab_to(page, page.get_by_role("textbox", name="max_size_ratio"))
    page.keyboard.type("0.25")
    tab_to(page, page.get_by_role("textbox", name="Options"))
    page.keyboard.type(QUICK_OPTIONS)
    press(page, page.get_by_role("button", name="Plan first"))
    expect(page.get_by_role("heading", name="Plan", exact=True)).to_be_focused()
    start(page)
    report = page.frame_locator("iframe.report")
    expect(report.get_by_role("heading", level=1)).to_contain_text("digits.onnx")
    press(page, page.get_by_role("link", name="Run again"))
    choose_preset(page, "int8")
    start(page)
    press(page, page.get_by_role("button", name="Compare"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("Compar")
    expect(page.get_by_role("main")).to_contain_text("/classifier/Gemm")
    sign_out(page)
    page.go_back()
    expect(page.get_by_label("API key")).to_be_visible()
    assert "digits" not in page.content()
