"""The pages name files and sections that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [
    *(ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md", "README.md", "examples/README.md")),
    *(ROOT / "docs").rglob("*.md"),
]
CODE = [path for folder in ("quant", "jobs", "worker", "service", "client") for path in (ROOT / folder).rglob("*.py")]
PATH = re.compile(r"`((?:quant|jobs|worker|service|client|tests|benchmarks|examples|openapi|docs|deploy)/[\w./-]*)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_named_file_exists(page):
    missing = [name for name in PATH.findall(page.read_text()) if not (ROOT / name).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(page):
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_docstrings_name_sections_that_the_methods_page_has():
    sections = set(re.findall(r"^## (.+)$", (ROOT / "docs" / "methods.md").read_text(), re.M))
    for path in CODE:
        text = re.sub(r"\s+", " ", path.read_text())
        assert set(re.findall(r"docs/methods\.md, '([^']+)'", text)) <= sections, path


def test_every_decision_is_listed_and_has_its_sections():
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(r"\((\d{4}-[\w-]+\.md)\)", (folder / "README.md").read_text())
    assert listed == sorted(path.name for path in folder.glob("0*.md"))
    expected = ["Context", "Decision", "Consequences", "Alternatives", "What enforces it"]
    for name in listed:
        assert re.findall(r"^## (.+)$", (folder / name).read_text(), re.M) == expected, name
