"""An HTML document as a tree of what tests ask for: ids, references, tables, texts and scripts."""

from html.parser import HTMLParser


class Document(HTMLParser):
    """A parsed page.

    Attributes:
        elements: every element as (tag, attributes).
        tables: the cells' texts of each table, row by row, by the label of the region around it; a table within a cell
            is left out of the rows around it.
        text: all texts outside of scripts and styles.
        scripts: the content of each script element, with its type.
    """

    def __init__(self, page):
        super().__init__()
        self.elements, self.tables, self.text, self.scripts = [], {}, "", []
        self._open, self._region, self._raw = [], "", ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.elements.append((tag, attributes))
        if attributes.get("role") == "region":
            self._region = attributes["aria-label"]
        if tag == "table":
            self._open.append([])
            self.tables.setdefault(self._region, self._open[-1])
        elif tag == "tr":
            self._open[-1].append([])
        elif tag in ("th", "td"):
            self._open[-1][-1].append("")
        elif tag in ("script", "style"):
            self._raw = tag
            self.scripts += [(attributes.get("type"), "")] if tag == "script" else []

    def handle_endtag(self, tag):
        if tag == "table":
            rows = self._open.pop()
            rows[:] = [[cell.strip() for cell in row] for row in rows]
        self._raw = "" if tag == self._raw else self._raw

    def handle_data(self, data):
        if self._raw == "script":
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
        if self._raw:
            return
        self.text += data
        if self._open and self._open[-1] and self._open[-1][-1]:
            self._open[-1][-1][-1] += data

    def values(self, attribute):
        """Return the values of an attribute over all elements."""
        return [attributes[attribute] for _, attributes in self.elements if attribute in attributes]
