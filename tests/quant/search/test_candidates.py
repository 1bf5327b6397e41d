"""Candidates: their names, their models, and their comparison on held-out samples."""

import json
from dataclasses import replace
from fnmatch import fnmatch

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper

from quant.errors import ExportError
from quant.pipeline import Inputs, quantize_model
from quant.search.candidates import (
    Candidate,
    MeasuredCandidate,
    best_corrected,
    build_candidates,
    measure,
)
from quant.search.context import NO_RANGES, RangeOption
from quant.search.data_free import PLAIN, data_free_candidate
from quant.search.decide import quantize_weights
from tests.specs import UNTIMED


def ignore(*_):
    """Ignore progress."""


@pytest.mark.parametrize(
    ("mode", "names"),
    [
        ("none", ["fitted bounds", "MinMax bounds"]),
        ("data_free", ["fitted bounds, data-free correction", "MinMax bounds, data-free correction"]),
        ("calibrated", ["* bounds, corrected biases"]),
        ("auto", ["* bounds, corrected biases", "fitted bounds", "MinMax bounds"]),
    ],
)
def test_each_mode_of_bias_correction_has_its_candidates(context, mode, names):
    calibrated = context({"preset": "int8", "weights": {"clipping": "auto"}, "bias_correction": mode})
    weights = quantize_weights(calibrated, ignore)
    candidates = build_candidates(calibrated, weights.work, weights.layers, ignore)
    assert len(candidates) == len(names)
    assert all(fnmatch(candidate.name, name) for candidate, name in zip(candidates, names, strict=True))


def test_bounds_that_the_spec_sets_have_no_rival(context):
    calibrated = context({"preset": "int8", "weights": {"clipping": "mse"}, "bias_correction": "none"})
    weights = quantize_weights(calibrated, ignore)
    (candidate,) = build_candidates(calibrated, weights.work, weights.layers, ignore)
    assert candidate.name == "specified bounds"
    assert not isinstance(candidate, MeasuredCandidate)
    assert candidate.shifts == {}


def test_a_candidate_is_measured_once(context):
    calibrated = context({"preset": "int8", "weights": {"clipping": "mse"}, "bias_correction": "none"})
    weights = quantize_weights(calibrated, ignore)
    (candidate,) = build_candidates(calibrated, weights.work, weights.layers, ignore)
    measured = measure(calibrated, candidate, ignore)
    assert measured.sqnr_db > 20
    assert measured.outputs.samples == calibrated.held_out.used
    assert measure(calibrated, measured, ignore) is measured


def test_candidates_are_compared_with_the_ranges_of_the_other_samples(context):
    calibrated = context({"preset": "int8", "weights": {"clipping": "mse"}, "bias_correction": "none"})
    weights = quantize_weights(calibrated, ignore)
    (candidate,) = build_candidates(calibrated, weights.work, weights.layers, ignore)
    narrow = {name: replace(found, minimum=found.minimum / 4, maximum=found.maximum / 4)
              for name, found in candidate.ranges.items()}  # fmt: skip
    clipped = replace(candidate, option=RangeOption(candidate.ranges, narrow))
    judged = measure(calibrated, clipped, ignore)
    assert judged.sqnr_db < measure(calibrated, candidate, ignore).sqnr_db - 6
    assert judged.model is candidate.model


def test_a_model_that_does_not_run_is_an_export_error(context):
    calibrated = context({"preset": "int8", "bias_correction": "none"})
    broken = Candidate("broken", NO_RANGES, [], ir.from_proto(onnx.ModelProto(ir_version=10)), {})
    with pytest.raises(ExportError, match="the quantized model"):
        measure(calibrated, broken, ignore)


def test_the_best_corrected_candidate_is_no_worse_than_the_uncorrected_one(context):
    calibrated = context({"preset": "int4"})
    plain = context({"preset": "int4", "bias_correction": "none"})
    layers = quantize_weights(calibrated, ignore).layers
    best, uncorrected = best_corrected(calibrated, layers, ignore), best_corrected(plain, layers, ignore)
    assert best.sqnr_db >= uncorrected.sqnr_db - 1e-6


@pytest.mark.parametrize("mode", ["auto", "none"])
def test_without_calibration_data_there_is_one_candidate_with_float_activations(context, mode):
    data_free = context({"preset": "int8-weights", "bias_correction": mode}, calibrated=False)
    candidate = data_free_candidate(data_free, data_free.work, quantize_weights(data_free, ignore).layers)
    assert candidate.ranges == {}
    assert len(candidate.layers) == len(data_free.work)
    assert all(np.isfinite(layer.quantized.scale).all() for layer in candidate.layers)


@pytest.mark.parametrize(("damage", "name"), [(1, "data-free"), (40, PLAIN)])
def test_without_data_rounding_that_synthetic_inputs_do_not_confirm_is_plain(context, damage, name):
    data_free = context({"preset": "int4-weights", "weights": {"rounding": "expected_feedback"}}, calibrated=False)
    layers = [
        replace(layer, quantized=replace(layer.quantized, scale=layer.quantized.scale * np.float32(damage)))
        for layer in quantize_weights(data_free, ignore).layers
    ]
    assert data_free_candidate(data_free, data_free.work, layers).name == name


@pytest.mark.parametrize("mode", ["auto", "none"])
def test_activation_ranges_of_three_rules_are_compared(tmp_path, examples, mode):
    compared = {}
    for rule in ("auto", {"name": "percentile", "q": 99.999}, "mse", "minmax"):
        spec = {**UNTIMED, "preset": "int8", "activations": {"clipping": rule}, "bias_correction": mode}
        inputs = Inputs(examples / "digits.onnx", "m", spec, examples / "digits_calibration.npz")
        quantize_model(inputs, tmp_path, lambda *_: None)
        name = rule if isinstance(rule, str) else rule["name"]
        compared[name] = json.loads((tmp_path / "report.json").read_text())["compared"]
        compared[name]["ranges"] = sorted(
            float(numpy_helper.to_array(tensor))
            for tensor in onnx.load(tmp_path / "model.onnx").graph.initializer
            if tensor.name.endswith("_scale") and not tensor.dims
        )
    table = compared["auto"]["output_sqnr_db"]
    assert table[compared["auto"]["kept"]] == max(table.values())
    for rule in ("minmax", "percentile", "mse"):
        named = "" if rule == "minmax" else f", ranges by {rule}"
        alone = compared[rule]["output_sqnr_db"]
        uncorrected = {name: sqnr_db for name, sqnr_db in alone.items() if "corrected" not in name}
        assert {name: table[name + named] for name in uncorrected} == uncorrected
    corrected = [name for name in table if "corrected" in name]
    assert len(corrected) == (mode == "auto")  # of the best rule only
    for name in corrected:
        rule = next((rule for rule in ("percentile", "mse") if name.endswith(rule)), "minmax")
        alone = name.removesuffix(f", ranges by {rule}")
        assert table[name] == compared[rule]["output_sqnr_db"][alone]
    chosen = next((rule for rule in ("percentile", "mse") if compared["auto"]["kept"].endswith(rule)), "minmax")
    other = "minmax" if chosen != "minmax" else "mse"
    assert compared["auto"]["ranges"] == compared[chosen]["ranges"] != compared[other]["ranges"]


@pytest.mark.parametrize("preset", ["int4", "int4-weights", "codebook4", "ternary"])
def test_auto_clipping_is_never_worse_than_minmax(tmp_path, examples, preset):
    def run(name, spec):
        out = tmp_path / name
        out.mkdir()
        inputs = Inputs(
            examples / "digits.onnx", "m", {**UNTIMED, "preset": preset, **spec},
            examples / "digits_calibration.npz", examples / "digits_evaluation.npz",
        )  # fmt: skip
        outcome = quantize_model(inputs, out, lambda *_: None)
        return outcome.summary.output_sqnr_db, json.loads((out / "report.json").read_text())

    auto, report = run("auto", {})
    minmax, _ = run("minmax", {"weights": {"clipping": "minmax"}, "bias_correction": "none"})
    assert auto > minmax - 0.3  # the choice was made on other samples
    compared = report["compared"]["output_sqnr_db"]
    assert compared[report["compared"]["kept"]] == max(compared.values())
    assert {"fitted bounds", "fitted bounds, corrected biases", "MinMax bounds"} <= set(compared)
    assert report["total_mean_shift"]["after"] > 0
    layer = report["layers"][0]["output"]
    assert layer["sqnr_db"] > 0
    assert 0 < layer["cosine"] <= 1
