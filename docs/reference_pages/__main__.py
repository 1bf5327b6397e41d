"""Write the pages below docs/reference/."""

from pathlib import Path

from docs.reference_pages import PAGES

FOLDER = Path(__file__).parent.parent / "reference"

for name, page in PAGES.items():
    (FOLDER / f"{name}.md").write_text(page())
