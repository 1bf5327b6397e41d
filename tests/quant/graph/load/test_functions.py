"""Local functions that stand for too much are refused before they are inlined."""

import pytest
from onnx import helper

from quant.errors import UnsupportedOperator
from quant.graph.load.functions import MAX_DEPTH, MAX_NODES, check_functions


def calls(*names):
    """Return a node for each name."""
    return [helper.make_node(name, [], [], domain="own") for name in names]


def chain(length, times=1):
    """Return functions of which each calls the next so many times."""
    return {("own", f"F{n}"): calls(*[f"F{n + 1}"] * times) for n in range(length)}


def test_functions_within_the_limits_are_accepted():
    check_functions(chain(MAX_DEPTH), calls("F0"))
    check_functions({}, calls(*["Relu"] * 1000))


@pytest.mark.parametrize("length", [MAX_DEPTH + 1, 5_000])
def test_a_deep_chain_is_refused(length):
    with pytest.raises(UnsupportedOperator, match=f"{length} deep"):
        check_functions(chain(length), calls("F0"))


@pytest.mark.parametrize(("length", "times"), [(20, 2), (60, 2), (6, 100)])
def test_calls_that_multiply_are_refused(length, times):
    with pytest.raises(UnsupportedOperator, match=f"{times**length:,} nodes; accepted: at most {MAX_NODES:,}"):
        check_functions(chain(length, times), calls("F0"))


@pytest.mark.parametrize("length", [1, 2, 3_000])
def test_functions_in_a_circle_are_refused(length):
    functions = {**chain(length - 1), ("own", f"F{length - 1}"): calls("F0")}
    with pytest.raises(UnsupportedOperator, match="calls itself"):
        check_functions(functions, calls("F0"))
