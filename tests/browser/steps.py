"""Steps that a person takes on the pages, by the names that a screen reader speaks."""

from playwright.sync_api import Page


def sign_in(page: Page, key: str) -> None:
    """Sign in with an API key on the page that asks for it, and wait for the page behind it."""
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/sign-in" not in url)


def sign_out(page: Page) -> None:
    """Sign out and wait for the form that asks for a key."""
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("API key").wait_for()
