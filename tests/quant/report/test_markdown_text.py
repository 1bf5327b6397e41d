"""Texts of an unknown model in Markdown."""

import pytest

from quant.report.markdown_text import LONGEST_NAME, code, plain


@pytest.mark.parametrize(
    ("name", "span"),
    [
        ("layer3.2/conv2", "`layer3.2/conv2`"),
        ("a`b", "``a`b``"),
        ("`a`", "`` `a` ``"),
        ("a``b`", "``` a``b` ```"),
        ("", "`  `"),
        ("a|b", "`a¦b`"),
        ("a\nb\x00c", "`a b c`"),
    ],
)
def test_a_name_is_a_code_span(name, span):
    assert code(name) == span


def test_a_long_name_is_shortened_in_its_middle():
    span = code("begin" + "x" * 1000 + "end")
    assert len(span) == LONGEST_NAME + 2
    assert span.startswith("`begin")
    assert span.endswith("end`")
    assert "…" in span


@pytest.mark.parametrize(
    ("sentence", "markdown"),
    [
        ("92 % comes from `a/b`; keep it.", "92 % comes from `a/b`; keep it."),
        ("92 % comes from `other`.", r"92 % comes from \`other\`."),
        ("Ask @all <b> *now*", r"Ask @&#8203;all \<b\> \*now\*"),
        ("see #1, !2 and GH-3", "see #&#8203;1, !&#8203;2 and GH-&#8203;3"),
        ("https://a.b or www.a.b", "https://&#8203;a.b or www.&#8203;a.b"),
        ("two\nlines", "two lines"),
    ],
)
def test_a_sentence_has_no_markup_but_code_for_known_names(sentence, markdown):
    assert plain(sentence, ["a/b", "unused"]) == markdown


def test_a_name_within_a_name_is_not_taken_for_it():
    assert plain("from `a` b`", ["a", "a` b"]) == "from ``a` b``"
