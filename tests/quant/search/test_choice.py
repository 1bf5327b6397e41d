"""The choice between variants."""

import onnx
import onnx_ir as ir
import pytest

from quant.search.choice import Choice, best
from quant.search.context import NO_RANGES


def choice(name, compared, score=0.0):
    model = ir.from_proto(onnx.ModelProto(ir_version=10))
    return Choice(None, name, model, [], NO_RANGES, {}, compared, scores={"y": score})  # type: ignore[arg-type]


@pytest.mark.parametrize("compared", [None, {}, {"plain": 20.0}])
def test_a_single_choice_is_returned_unchanged(compared):
    single = choice("plain", compared)
    assert best([single]) is single


def test_the_best_choice_has_the_table_of_all():
    plain = choice("plain", {"plain": 20.0, "corrected": 19.0}, 20.0)
    equalized = choice("plain, equalized", {"plain, equalized": 21.0, "corrected, equalized": 18.0}, 21.0)
    chosen = best([plain, equalized])
    assert chosen.name == "plain, equalized"
    assert list(chosen.compared) == ["plain", "corrected", "plain, equalized", "corrected, equalized"]


def test_of_equal_choices_the_first_is_taken():
    assert best([choice("a", {"a": 20.0}), choice("b", {"b": 20.0})]).name == "a"
