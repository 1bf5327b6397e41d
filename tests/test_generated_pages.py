"""The pages that are generated from the code and from measured figures are current."""

from pathlib import Path

import pytest
import yaml

from docs.choosing import CASES
from docs.choosing import page as choosing
from docs.reference_pages import PAGES
from docs.reference_pages.errors import REMEDIES
from quant.spec import resolve

FOLDER = Path(__file__).parent.parent / "docs"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_the_reference_is_that_of_the_code(name):
    written = (FOLDER / "reference" / f"{name}.md").read_text()
    assert written == PAGES[name](), "run python -m docs.reference_pages"


def test_the_page_on_choosing_is_that_of_its_figures():
    assert (FOLDER / "choosing.md").read_text() == choosing(), "run python -m docs.choosing"


def test_every_proposed_spec_is_valid():
    for case in CASES:
        resolve(yaml.safe_load(case.spec))


def test_every_remedy_is_for_a_code_that_exists():
    page = PAGES["errors"]()
    assert [code for code in REMEDIES if f"| `{code}` |" not in page] == []
