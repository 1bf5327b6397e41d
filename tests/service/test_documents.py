"""Specs and other documents: values that JSON lacks are refused."""

import math
from datetime import date

import pytest

from quant.errors import SpecError
from service.documents import SPEC_BYTES, plain, read_spec


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
