"""Variants: the forms of a model, and the choice between them."""

import json

import numpy as np
import onnx_ir as ir
import pytest

from quant.calibration.batchnorm_moments import batchnorm_moments
from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise
from quant.pipeline import Inputs, quantize_model
from quant.runtime import Session
from quant.search.variants import form_variants
from quant.spec import resolve
from tests.specs import UNTIMED


@pytest.fixture
def model(examples):
    return normalise(load(examples / "digits.onnx"))


@pytest.mark.parametrize(
    ("equalization", "calibrated", "suffixes"),
    [
        ("none", True, [""]),
        ("auto", False, [""]),
        ("auto", True, ["", ", equalized"]),
        ("cross_layer", True, [""]),
        ("cross_layer", False, [""]),
    ],
)
def test_each_mode_of_equalization_has_its_variants(model, equalization, calibrated, suffixes):
    spec = resolve({"preset": "int8-weights", "equalization": equalization})
    variants = form_variants(model, {}, spec, calibrated=calibrated)
    assert [variant.suffix for variant in variants] == suffixes
    assert variants[0].model is model


def test_an_equalized_variant_has_other_weights_and_the_same_outputs(model, examples):
    spec = resolve({"preset": "int8-weights", "equalization": "auto"})
    variants = form_variants(model, batchnorm_moments(model), spec, calibrated=True)
    images = {"input": np.load(examples / "digits_evaluation.npz")["input"][:8]}
    files = [ir.to_proto(variant.model).SerializeToString() for variant in variants]
    assert files[0] != files[1]
    plain, equalized = (Session(file).run(images)[0] for file in files)
    np.testing.assert_allclose(equalized, plain, atol=1e-4 * np.abs(plain).max())


def equalized(tmp_path, examples, spec, data=True):
    """Return the weights' SQNR and the report's table of compared candidates."""
    calibration = examples / "digits_calibration.npz" if data else None
    inputs = Inputs(examples / "digits.onnx", "m", {**UNTIMED, **spec, "weights": {"clipping": "mse"}}, calibration)
    summary = quantize_model(inputs, tmp_path, lambda *_: None).summary
    return summary.weight_sqnr_db, json.loads((tmp_path / "report.json").read_text())["compared"]


@pytest.mark.parametrize("preset", ["int8", "int4-weights"])
@pytest.mark.parametrize("correction", ["auto", "none"])
def test_equalization_is_compared_and_used_where_the_outputs_gain(tmp_path, examples, preset, correction):
    spec = {"preset": preset, "bias_correction": correction}
    alone = {mode: equalized(tmp_path, examples, {**spec, "equalization": mode})[0] for mode in ("none", "cross_layer")}
    weights, compared = equalized(tmp_path, examples, {**spec, "equalization": "auto"})
    table, chosen = compared["output_sqnr_db"], compared["kept"]
    assert {name.endswith(", equalized") for name in table} == {True, False}
    assert table[chosen] == max(table.values())
    assert alone["none"] != alone["cross_layer"]
    assert weights == alone["cross_layer" if chosen.endswith(", equalized") else "none"]


def test_auto_equalization_without_data_leaves_the_model_as_it_is(tmp_path, examples):
    results = [
        equalized(tmp_path, examples, {"preset": "int4-weights", "equalization": mode}, data=False)
        for mode in ("auto", "none")
    ]
    assert results[0] == results[1]
