"""The report in Markdown, read by a parser of CommonMark with tables."""

import pytest
from markdown_it import MarkdownIt

from quant.report.markdown import MAX_LINES, report_markdown
from quant.report.markdown_text import LONGEST_NAME
from quant.report.notable_layers import notable_layers
from tests.quant.reports import digits_report, renamed

PARSER = MarkdownIt("commonmark", {"html": True}).enable("table")
CODE = {"code_inline", "fence"}


def parts_of(markdown):
    """Return every element of the text, also those within others."""
    parts = []
    for token in PARSER.parse(markdown):
        parts += [token, *(token.children or [])]
    return parts


def texts_of(markdown):
    """Return the texts outside of code."""
    return "\n".join(part.content for part in parts_of(markdown) if part.type == "text")


@pytest.fixture
def failed():
    return report_markdown(digits_report("int4")).decode()


def test_verdict_and_gates_come_first(failed):
    lines = failed.splitlines()
    assert lines[0] == "### `digits.onnx`: 1 of 2 gates failed"
    assert lines[2].startswith("| Gate | Limit |")
    assert lines[4].startswith("| `min_output_sqnr_db` | at least 30 dB | 26.4")
    assert "**fail**" in lines[4]
    assert lines[5].endswith("| pass |")


def test_it_is_short_and_has_the_sentence_the_summary_and_the_worst_layers(failed):
    report = digits_report("int4")
    assert failed.count("\n") <= MAX_LINES
    assert texts_of(failed).count("Output SQNR") >= 2
    assert all(f"| `{layer.name}` |" in failed for layer in notable_layers(report))
    assert "(chosen)" in failed
    assert "256 calibration samples, 500 evaluation samples" in failed


def test_figures_that_were_not_measured_have_no_column():
    text = report_markdown(digits_report("int4-weights", calibrated=False, evaluated=False)).decode()
    assert text.startswith("### `digits.onnx`: no gates\n")
    assert "| Worst layers | Op | Bits | Weight SQNR |" in text
    assert "not measured" not in text


HOSTILE = [
    "@everyone",
    "`@everyone`",
    "``` ` @everyone",
    "<img src=x onerror=alert(1)>",
    "![](https://example.com/x.png)",
    "[click](https://example.com)",
    "a|b",
    "a\\|<b>@everyone",
    "a\\",
    "x\n# heading\n<script>",
    "x\r\n\r\n| a | b |",
    "https://example.com www.example.com #1 org/repo#1 GH-1",
    "\u202egnp.exe",
    "$x$ ~~y~~ *z* __w__ &lt; <!-- ",
    "`",
    "",
    "long" * 1000,
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_only_ever_code(name):
    text = report_markdown(renamed(digits_report("int4"), name)).decode()
    usual = report_markdown(digits_report("int4")).decode()
    kinds = [part.type for part in parts_of(text)]
    assert "image" not in kinds
    assert "link_open" not in kinds
    assert not [kind for kind in kinds if kind.startswith("html")]
    rows = [sum(part.type == kind for part in parts_of(text)) for kind in ("heading_open", "tr_open", "td_open")]
    assert rows == [
        sum(part.type == kind for part in parts_of(usual)) for kind in ("heading_open", "tr_open", "td_open")
    ]
    assert all(len(part.content) <= LONGEST_NAME for part in parts_of(text) if part.type == "code_inline")
    assert "everyone" not in texts_of(text)
    assert "example.com" not in texts_of(text)
    assert text.count("\n") <= MAX_LINES
    assert "\u202e" not in text


def test_the_spec_of_the_advised_change_is_a_block_of_code():
    report = digits_report("int4")
    spec = "layers:\n- match: '```'\n  weights: {bits: 8}\n"
    advised = report.model_copy(update={"diagnosis": report.diagnosis.model_copy(update={"spec": spec})})
    (block,) = [part for part in parts_of(report_markdown(advised).decode()) if part.type == "fence"]
    assert (block.info, block.content) == ("yaml", spec)


def test_a_long_spec_is_left_out():
    report = digits_report("int4")
    diagnosis = report.diagnosis.model_copy(update={"spec": "- match: x\n" * 100})
    assert "match: x" not in report_markdown(report.model_copy(update={"diagnosis": diagnosis})).decode()
