"""Accessibility findings of axe-core."""

from pathlib import Path

from playwright.sync_api import Frame, Page

SCRIPT = Path(__file__).parent / "axe" / "axe.min.js"
RUN = "() => axe.run(document, {iframes: false, resultTypes: ['violations']})"


def findings(page: Page) -> list[str]:
    """Return what axe-core finds in the page and its frames, a line for each element; all of its rules apply."""
    return [finding for frame in page.frames for finding in _findings_of(frame)]


def _findings_of(frame: Frame) -> list[str]:
    frame.evaluate(SCRIPT.read_text())
    return [
        f"{rule['id']} ({rule['impact']}): {rule['help']}: {' '.join(map(str, node['target']))}: {node['html'][:200]}"
        for rule in frame.evaluate(RUN)["violations"]
        for node in rule["nodes"]
    ]
