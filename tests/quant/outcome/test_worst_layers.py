"""Short forms of a report name the layers that cause most of the error first."""

from quant.outcome.worst_layers import most_harmful


def test_layers_go_by_their_shares_and_equal_shares_by_their_order():
    shares = {"a": 0.1, "b": 0.5, "c": None, "d": 0.1, "e": 0.3}
    assert most_harmful(shares, ["c"], 9) == ["b", "e", "a", "d"]
    assert most_harmful(shares, ["c"], 2) == ["b", "e"]


def test_without_shares_the_worst_by_sqnr_are_named():
    assert most_harmful({"a": None, "b": None}, ["b", "a"], 1) == ["b"]
    assert most_harmful({}, [], 5) == []
