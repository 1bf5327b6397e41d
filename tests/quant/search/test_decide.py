"""The decisions on one variant of a model: the bits of its weights, and the candidate with the best outputs."""

import pytest

from quant.errors import BudgetTooSmall
from quant.search.decide import choose, quantize_weights


def ignore(*_):
    """Ignore progress."""


def test_without_a_budget_the_spec_sets_the_bits(context):
    weights = quantize_weights(context({"preset": "int4"}), ignore)
    assert {layer.quantized.bits for layer in weights.layers} == {4}
    assert weights.allocation is weights.search is weights.max_bytes is None
    assert weights.warnings == ()


@pytest.mark.parametrize("calibrated", [True, False])
def test_a_budget_sets_the_bits_and_the_sections(context, calibrated):
    spec = {"preset": "int8-weights", "budget": {"max_size_ratio": 0.22}, "export": {"opset": 25}}
    search = context(spec, calibrated)
    weights = quantize_weights(search, ignore)
    assert len({layer.quantized.bits for layer in weights.layers}) > 1
    sections = {layer.name: section.bits for layer, section in weights.work}
    assert {layer.layer.name: layer.spec.bits for layer in weights.layers} == sections
    assert weights.max_bytes == weights.allocation["max_bytes"] == int(0.22 * search.source.size)


def test_too_small_a_budget_is_refused(context):
    with pytest.raises(BudgetTooSmall):
        quantize_weights(context({"preset": "int8", "budget": {"max_bytes": 10}}), ignore)


def test_gates_set_the_bits_and_warn_where_none_passes(context):
    spec = {"preset": "int8", "objective": "smallest_within_gates", "export": {"opset": 25}}
    passed = quantize_weights(context({**spec, "gates": {"min_output_sqnr_db": 12}}), ignore)
    assert passed.search["passed"]
    assert passed.warnings == ()
    failed = quantize_weights(context({**spec, "gates": {"min_output_sqnr_db": 90}}), ignore)
    assert not failed.search["passed"]
    assert "no choice of bits passes the gates" in failed.warnings[0]
    assert sum(layer.quantized.bits for layer in failed.layers) > sum(layer.quantized.bits for layer in passed.layers)


def test_the_choice_is_the_best_of_the_compared_candidates(context):
    calibrated = context({"preset": "int4"}, suffix=", equalized")
    choice = choose(calibrated, quantize_weights(calibrated, ignore), ignore)
    assert choice.compared[choice.name] == max(choice.compared.values())
    assert all(name.endswith(", equalized") for name in choice.compared)
    assert choice.context is calibrated


def test_a_single_candidate_is_only_measured_on_request(context):
    calibrated = context({"preset": "int8", "weights": {"clipping": "mse"}, "bias_correction": "none"})
    weights = quantize_weights(calibrated, ignore)
    assert choose(calibrated, weights, ignore).compared == {}
    assert list(choose(calibrated, weights, ignore, compare=True).compared) == ["specified bounds"]


@pytest.mark.parametrize("synthetic", ["auto", "none"])
def test_without_calibration_data_nothing_is_compared(context, synthetic):
    data_free = context({"preset": "int8-weights", "synthetic_inputs": synthetic}, calibrated=False)
    choice = choose(data_free, quantize_weights(data_free, ignore), ignore)
    assert choice.compared is None
    assert choice.ranges == {}
    assert bool(choice.shifts) == (synthetic == "auto")
