"""Activation ranges: their scale, zero point and evidence."""

import numpy as np
import onnx_ir as ir
import pytest

from quant.calibration.activation_ranges import (
    ActivationRange,
    RangeObserver,
    TensorObserver,
    tie,
    unlike_concatenations,
)
from quant.calibration.observers import observe
from quant.data.dataset import Dataset
from quant.errors import ModelError
from quant.graph.weightless import weightless
from quant.methods.ranges.mse import MseRange
from quant.spec import resolve
from tests.quant.calibration.models import ACTIVATIONS, SAMPLES, activations_model
from tests.quant.methods.ranges.observations import observed
from tests.quant.onnx_text import model_of


def test_zeros_are_left_out_of_the_histogram():
    seen = observed(MseRange(), np.array([0, 0, 1, 2.0]), np.zeros(5))
    assert seen.counts.sum() == 2


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("symmetric", [False, True])
def test_zero_is_exact_and_the_ends_are_reached(bits, symmetric):
    target = ActivationRange(-1.0, 3.0, bits, symmetric)
    lower, upper = target.representable
    assert target.dtype == np.dtype(f"{'int' if symmetric else 'uint'}{bits}")
    assert upper == pytest.approx(3, abs=float(target.scale))
    assert lower <= -1 + float(target.scale)
    assert (int(target.zero_point) == 0) == symmetric


@pytest.mark.parametrize("clipping", [{"name": "minmax"}, {"name": "minmax", "moving": 0.3}, {"name": "percentile"}])
def test_ranges_from_peaks_are_those_of_the_whole_tensors(clipping):
    model = activations_model()
    activations = resolve({"preset": "int8", "activations": {"clipping": clipping}}).activations
    data = Dataset({"x": SAMPLES}, None, len(SAMPLES), 8)
    observer = RangeObserver(model.graph, ACTIVATIONS, activations)
    observe(weightless(model), data, [observer], lambda *_: None)
    whole = RangeObserver(ir.Graph([], [], nodes=[]), ACTIVATIONS, activations)  # an empty graph: no tensor has peaks
    observe(weightless(model), data, [whole], lambda *_: None)
    assert observer.ranges() == whole.ranges()
    assert (set(observer.wants(9)) == set(whole.wants(9))) == (clipping["name"] == "percentile")


def clipped_at(least, most, rule):
    """Return an observer of `low`, which is clipped to -1 .. 6, after a batch from `least` to `most`."""
    activations = resolve({"preset": "int8", "activations": {"clipping": rule}}).activations
    observer = RangeObserver(activations_model().graph, ["low", "conv"], activations)
    observer.add(0, {"low": np.array([least, most], np.float32), "conv": np.array([0.0], np.float32)})
    return observer


@pytest.mark.parametrize(("least", "most", "wanted"), [(-1.0, 6.0, False), (-0.9, 6.0, True), (-1.0, 5.9, True)])
def test_a_tensor_at_its_clip_limits_is_not_read_again(least, most, wanted):
    observer = clipped_at(least, most, {"name": "minmax"})
    assert ("low" in observer.wants(1)) == wanted
    assert "conv" in observer.wants(1)
    observer.add(1, {"conv": np.array([2.0], np.float32)})
    assert observer.ranges()["minmax"]["low"].maximum == np.float32(most)


@pytest.mark.parametrize("rule", [{"name": "minmax", "moving": 0.5}, {"name": "mse"}])
def test_a_rule_that_weighs_every_batch_sees_every_batch(rule):
    assert "low" in clipped_at(-1.0, 6.0, rule).wants(1)


@pytest.mark.parametrize("rule", ["minmax", {"name": "minmax", "moving": 0.5}, "percentile", "mse", "analytic"])
def test_held_out_batches_are_left_out_of_the_ranges_that_they_judge(rule):
    batches = [np.random.default_rng(number).normal(size=500).astype(np.float32) for number in range(3)]
    batches[1] *= 9
    activations = resolve({"preset": "int8", "activations": {"clipping": rule}}).activations
    graph = ir.Graph([], [], nodes=[])
    both, fitting, whole = (RangeObserver(graph, ["x"], activations, held_out) for held_out in ((1,), (), ()))
    for number, batch in enumerate(batches):
        both.add(number, {"x": batch})
        whole.add(number, {"x": batch})
        if number != 1:
            fitting.add(number, {"x": batch})
    assert both.ranges() == whole.ranges()
    assert both.fitting_ranges() == fitting.ranges() != both.ranges()


def test_a_tensor_is_read_until_the_fitting_batches_reach_its_limits():
    activations = resolve({"preset": "int8"}).activations
    observer = RangeObserver(activations_model().graph, ["low"], activations, held_out=(0,))
    observer.add(0, {"low": np.array([-1.0, 6.0], np.float32)})
    assert "low" in observer.wants(1)
    observer.add(1, {"low": np.array([-1.0, 6.0], np.float32)})
    assert "low" not in observer.wants(2)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_tensor_that_is_not_finite_is_refused_by_name(value):
    observer = TensorObserver("extremes")
    with pytest.raises(ModelError, match="tensor 'hidden' is NaN or infinite"):
        observer.add("hidden", np.array([0.0, value]))


def test_a_tied_tensor_gets_the_range_of_the_other():
    ranges = {"a": ActivationRange(-1.0, 3.0)}
    assert tie(ranges, {"b": "a"}) == {"a": ranges["a"], "b": ranges["a"]}


@pytest.mark.parametrize(("factor", "unlike"), [(1, set()), (7.5, set()), (8.5, {"c"}), (640, {"c"}), (0.001, {"c"})])
def test_parts_of_a_concatenation_with_unlike_scales_are_found(factor, unlike):
    body = "c = Concat <axis = 1> (a, b) d = Tanh (c)"
    model = model_of(f"net (float[N, 2] a, float[N, 2] b) => (float[N, 4] d) {{ {body} }}")
    ranges = {"a": ActivationRange(0, 1), "b": ActivationRange(0, factor), "c": ActivationRange(0, max(1, factor))}
    assert unlike_concatenations(model.graph, ranges) == unlike
