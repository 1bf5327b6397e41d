"""A text that holds a name from an uploaded file is never long."""

import pytest

from quant.texts import MOST_CHARACTERS, shortened, with_short_texts


@pytest.mark.parametrize("length", [0, 1, MOST_CHARACTERS])
def test_a_short_text_stays(length):
    assert shortened("x" * length) == "x" * length


@pytest.mark.parametrize("length", [MOST_CHARACTERS + 1, 5_000, 2_000_000])
def test_a_long_text_loses_its_middle_and_says_so(length):
    text = shortened("a" + "x" * (length - 2) + "b")
    assert len(text) == MOST_CHARACTERS
    assert (text[0], text[-1]) == ("a", "b")
    assert f"{length - MOST_CHARACTERS:,} characters left out" in text


def test_half_of_a_surrogate_pair_becomes_a_question_mark():
    assert shortened("a\ud800b") == "a?b"


def test_texts_are_shortened_at_every_depth():
    long = "x" * 9999
    document = with_short_texts({"a": [{"b": (long, 1, None, 2.5, True)}], long: long})
    assert document["a"] == [{"b": [shortened(long), 1, None, 2.5, True]}]
    assert document[shortened(long)] == shortened(long)
