"""A page as it is printed."""

import re
from pathlib import Path

import pypdfium2
from PIL import Image
from playwright.sync_api import Page


def printed_text(page: Page, path: Path) -> str:
    """Print a page on A4 to the file `path` and return the text that is on the paper, without any white space."""
    with _printed(page, path) as document:
        texts = [sheet.get_textpage().get_text_bounded() for sheet in document]
    return compact("".join(texts))


def printed_image(page: Page, path: Path, scale: float) -> Image.Image:
    """Print a page on A4 to the file `path` and return its first sheet; a scale of 1 is 72 pixels an inch."""
    with _printed(page, path) as document:
        return document[0].render(scale=scale).to_pil()


def compact(text: str) -> str:
    """Return a text without white space, zero-width spaces and hyphens, which line breaks add and remove."""
    return re.sub(r"[\s\u200b\u00ad\ufffe-]+", "", text)


def _printed(page: Page, path: Path) -> pypdfium2.PdfDocument:
    page.pdf(path=path, format="A4", prefer_css_page_size=True, print_background=True)
    return pypdfium2.PdfDocument(path)
