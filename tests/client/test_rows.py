"""Rows of a label and a text."""

import io

from rich.console import Console

from quantd.rows import Row, print_rows


def printed(*rows, width=40):
    console = Console(file=io.StringIO(), width=width)
    print_rows(console, rows)
    return console.file.getvalue().splitlines()


def test_texts_form_a_column_and_are_wrapped_to_the_width():
    assert printed(Row("size", "10 kB"), Row("note", "a sentence of more than one line of text")) == [
        "size        10 kB",
        "note        a sentence of more than one",
        "            line of text",
    ]


def test_a_name_is_never_cut():
    name = "/layer/" + 80 * "x"
    assert printed(Row("", f"  8  {name}", wrapped=False)) == [f"              8  {name}"]
    assert any(line.endswith(name) for line in printed(Row("skipped", f"the node {name}")))


def test_markup_and_control_characters_are_shown_as_they_are():
    assert printed(Row("[bold]", "[red]\x1b[31m\nx")) == ["[bold]      [red]\\x1b[31m x"]
