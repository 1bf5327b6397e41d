"""Accessibility findings: those of axe-core, and parts that a phone does not show."""

from pathlib import Path

from playwright.sync_api import Page

SCRIPT = Path(__file__).parent / "axe" / "axe.min.js"
RUN = "() => axe.run(document, {iframes: false, resultTypes: ['violations']})"
WIDE = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
LOOKS = {"light": ("light", WIDE), "dark": ("dark", WIDE), "phone": ("light", PHONE)}


def findings_in_every_look(page: Page) -> list[str]:
    """Return the findings in light, in dark and on a phone, each with the look before it.

    With reduced motion, a colour has its new value at once.
    """
    result = []
    for look, (scheme, size) in LOOKS.items():
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.set_viewport_size(size)
        result += [f"{look}: {finding}" for finding in [*findings(page), *too_wide(page)]]
    return result


def findings(page: Page) -> list[str]:
    """Return what axe-core finds in the page, frames excepted, a line for each element; all of its rules apply."""
    page.evaluate(SCRIPT.read_text())
    return [
        f"{rule['id']} ({rule['impact']}): {rule['help']}: {' '.join(map(str, node['target']))}: {node['html'][:200]}"
        for rule in page.evaluate(RUN)["violations"]
        for node in rule["nodes"]
    ]


def too_wide(page: Page) -> list[str]:
    """Return one finding if the page is wider than its window, so that a phone must scroll it sideways."""
    width, window = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    return [f"the page is {width} px wide in a window of {window} px"] if width > window else []
