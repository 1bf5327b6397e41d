"""Layers that stay in float because they are slower quantized; times are made up, so that no machine decides."""

import pytest

from quant.errors import SpecError
from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise
from quant.outcome.latency import LayerTime
from quant.search import keep_float as module
from quant.search.context import Source, calibrate
from quant.search.decide import choose, quantize_weights
from quant.search.keep_float import REASON, keep_slow_layers_float
from quant.search.variants import Variant
from quant.spec import resolve

SPEC = {
    "preset": "int8-weights",
    "weights": {"clipping": "minmax", "distributions": ["gaussian"]},
    "keep_float": "slower",
}


def ignore(*_):
    """Ignore progress."""


@pytest.fixture
def run(examples, monkeypatch):
    """Return a function that keeps the slow layers of the digits network in float.

    `slow` has the milliseconds of slow layers, `changes` the ratios of the models with more layers in float to those
    before, and `against_float` the ratio of a quantized model to the float model.
    """
    model = normalise(load(examples / "digits.onnx"))

    def quantize(spec):
        context = calibrate(Variant("", model.clone(), {}), None, spec, Source(100_000, "0"), ignore)
        return choose(context, quantize_weights(context, ignore), ignore)

    def keep(slow, changes, against_float=0.9):
        ratios = iter(changes)

        def times(_float, _quantized, _feeds, layers):
            return [
                LayerTime(name=name, op=op, float_ms=1, quantized_ms=slow.get(name, 0.5))
                for name, op in dict(layers.values()).items()
                if name
            ], None

        def ratio(before, after, _feeds):
            return next(ratios, 1.0) if len(after) > len(before) else against_float

        monkeypatch.setattr(module, "time_layers", times)
        monkeypatch.setattr(module, "latency_ratio", ratio)
        choice = keep_slow_layers_float(quantize(resolve(SPEC)), quantize, {})
        names = [node.name for node in choice.context.skipped if node.reason == REASON]
        return choice, names

    return keep


@pytest.fixture
def layers(examples):
    model = normalise(load(examples / "digits.onnx"))
    context = calibrate(Variant("", model, {}), None, resolve(SPEC), Source(1, "0"), ignore)
    return [layer.name for layer, _ in context.work]


def test_a_slow_layer_stays_in_float_with_a_rule_a_reason_and_a_warning(run, layers):
    choice, names = run({layers[1]: 3.0}, [0.5])
    assert names == [layers[1]]
    assert [rule.match for rule in choice.context.spec.layers] == [layers[1]]
    assert [layer.layer.name for layer in choice.layers] == [name for name in layers if name != layers[1]]
    assert any(layers[1] in warning for warning in choice.warnings)


def test_nothing_changes_where_the_whole_is_not_faster(run, layers):
    choice, names = run({layers[1]: 3.0, layers[2]: 4.0}, [1.0, 1.0])
    assert (names, len(choice.layers), choice.context.spec.layers) == ([], len(layers), ())


def test_nothing_changes_where_no_layer_is_slow(run, layers):
    choice, names = run({}, [0.5])
    assert (names, len(choice.layers)) == ([], len(layers))


def test_all_layers_may_stay_in_float(run, layers):
    choice, names = run(dict.fromkeys(layers, 3.0), [0.5])
    assert sorted(names) == sorted(layers)
    assert not choice.layers


def test_if_all_slow_layers_do_not_help_the_slowest_half_may(run, layers):
    _, names = run({layers[1]: 3.0, layers[2]: 4.0}, [1.0, 0.5])
    assert names == [layers[2]]


def test_layers_add_up_over_the_rounds(run, layers):
    choice, names = run({layers[1]: 3.0, layers[2]: 4.0}, [1.0, 0.5, 0.5])
    assert sorted(names) == sorted([layers[1], layers[2]])
    assert {rule.match for rule in choice.context.spec.layers} == set(names)


@pytest.mark.parametrize(("against_float", "in_float"), [(1.2, True), (1.01, False)])
def test_a_model_that_is_slower_as_a_whole_stays_in_float(run, layers, against_float, in_float):
    _, names = run({}, [0.5], against_float)
    assert len(names) == (len(layers) if in_float else 0)


@pytest.mark.parametrize(
    "others",
    [{"export": {"profile": "generic"}}, {"budget": {"max_size_ratio": 0.3}},
     {"objective": "smallest_within_gates", "gates": {"min_output_sqnr_db": 20}}],
)  # fmt: skip
def test_options_that_do_not_go_together_are_refused(others):
    with pytest.raises(SpecError, match=r"keep_float slower .* accepted"):
        resolve({"keep_float": "slower", **others})
