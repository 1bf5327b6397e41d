"""Specs and other documents: values that JSON lacks are refused."""

import math
from datetime import date

import pytest

from quant.errors import SpecError
from service.documents import SPEC_BYTES, lines_of, plain, read_spec


@pytest.mark.parametrize(
    "text",
    [
        "preset: int4\nseed: 3",
        '{"preset": "int4", "seed": 3}',
        "{preset: int4, seed: 3}",
        "preset: int4\nseed: 3\n...\n",
    ],
)
def test_a_spec_is_json_or_yaml(text):
    assert read_spec(text) == {"preset": "int4", "seed": 3}


@pytest.mark.parametrize("text", ["", "# nothing", "null", "{}"])
def test_empty_text_is_an_empty_spec(text):
    assert read_spec(text) == {}


@pytest.mark.parametrize(
    "text",
    [
        "{a: [", "a: b: c", "- a", "text", "3", "\x00", "a: 1\n---\nb: 2", "!!python/object:os.system {}",
        "a: .nan", "a: .inf", "a: 2020-01-01", "a: !!set {b: null}", "a: !!binary aGVsbG8=", '{"a": "\\ud800"}',
        "[" * 5000, "a: &x 1\nb: *x", "&x [*x]",
    ],
)  # fmt: skip
def test_anything_but_a_plain_mapping_is_refused(text):
    with pytest.raises(SpecError) as refused:
        read_spec(text)
    assert refused.value.errors
    assert "Traceback" not in refused.value.detail
    assert len(refused.value.detail) < 400


LAUGHS = "\n".join(["l0: &l0 [x]", *(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 30))])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (LAUGHS, "alias"),
        ("[" * SPEC_BYTES, "deeper"),
        ("{a: " * (SPEC_BYTES // 4), "deeper"),
        ("- " * 30_000, "deeper"),
        ("# " + "ü" * (SPEC_BYTES // 2), "longer"),
    ],
)
def test_expensive_text_is_refused_at_once(text, reason):
    with pytest.raises(SpecError, match=reason):
        read_spec(text)


@pytest.mark.parametrize("value", [math.nan, math.inf, {1, 2}, b"x", date(2020, 1, 1), "\ud800", {"\ud800": 1}])
def test_a_value_that_json_lacks_is_refused(value):
    with pytest.raises(ValueError, match="plain JSON"):
        plain({"a": [value]})


def test_plain_values_are_unchanged():
    document = {"a": [1, 2.5, None, True, "ü"], "b": {"c": {}}}
    assert plain(document) == document


LINES = "weights:\n  bits: 3\nlayers:\n  - {match: a}\n  - match: 'b/c'\n    skp: true\n"


@pytest.mark.parametrize(
    ("pointer", "line"),
    [
        ("/weights", 1), ("/weights/bits", 2), ("/layers/1", 5), ("/layers/1/skp", 6), ("/layers/0/weights/bits", 4),
        ("/weights/grid/name", 1), ("/gates", None), ("", None),
    ],
)  # fmt: skip
def test_a_pointer_has_the_line_of_its_value_or_of_its_nearest_parent(pointer, line):
    assert lines_of(LINES, ["/layers", pointer]) == [3, line]


def test_a_pointer_may_hold_escaped_characters():
    assert lines_of('a: 1\n"b/c~d": 2\n', ["/b~1c~0d"]) == [2]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: 1\nb: c: d\n", "line 2, column 5"),
        ("a:\n\tb: 1", "line 2, column 1"),
        ("a: 1\na: 2", "line 2, column 1: the key 'a' occurs twice"),
        ("- 1\n- {b: 1, b: 2}", "line 2, column 10"),
    ],
)
def test_text_that_cannot_be_parsed_has_the_place_of_the_fault(text, place):
    with pytest.raises(SpecError, match=place):
        read_spec(text)
    assert lines_of(text, [""]) == [2]


@pytest.mark.parametrize("text", [LAUGHS, "[" * SPEC_BYTES, "\x00", "l0: " + "x" * SPEC_BYTES])
def test_text_that_is_not_parsed_has_no_lines(text):
    assert lines_of(text, ["/l0"]) == [None]
