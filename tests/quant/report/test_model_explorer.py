"""Node data for Model Explorer, in the form of its data classes `GraphNodeData` and `NodeDataResult`."""

import json

import numpy as np
import onnx
import pytest
from jsonschema import Draft202012Validator

from quant.pipeline import Inputs, quantize_model
from quant.report.model_explorer import COLORS, GOOD, model_explorer_json
from tests.quant.onnx_text import proto_of
from tests.quant.reports import digits_report, renamed

RNG = np.random.default_rng(0)
SCHEMA = Draft202012Validator(
    {
        "type": "object",
        "required": ["results"],
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string"},
            "hideInAggregatedStatsTable": {"type": "boolean"},
            "hideInChildrenStatsTable": {"type": "boolean"},
            "results": {
                "type": "object",
                "additionalProperties": {
                    "type": "object",
                    "required": ["value"],
                    "additionalProperties": False,
                    "properties": {
                        "value": {"type": ["string", "number"]},
                        "bgColor": {"type": "string", "pattern": "^#[0-9a-f]{6}$"},
                        "textColor": {"type": "string", "pattern": "^#[0-9a-f]{6}$"},
                    },
                },
            },
        },
    }
)
"""The form of a file with the data of one graph, in Model Explorer 0.1.34."""


def data_of(report, model=None):
    data = json.loads(model_explorer_json(report, model))
    SCHEMA.validate(data)
    return data


def test_every_layer_has_its_figures_on_its_node():
    report = digits_report("int4")
    data = data_of(report)
    assert list(data["results"]) == [layer.name for layer in report.layers]
    for layer in report.layers:
        value = data["results"][layer.name]["value"]
        assert value.startswith(f"{layer.output.sqnr_db:.1f} dB, {layer.bits} bits")
        assert "shift " in value
    assert data["name"].startswith("quantd: output SQNR, bits, ")
    assert data["name"].endswith(", mean shift")


def test_a_share_of_the_error_is_shown_where_it_was_measured():
    report = digits_report("int4")
    first, *others = (layer.model_copy(update={"error_share": None}) for layer in report.layers)
    layers = (first.model_copy(update={"error_share": 0.125}), *others)
    data = data_of(report.model_copy(update={"layers": layers}))
    assert "share of the weights' error" in data["name"]
    shown = {name for name, result in data["results"].items() if "of the error" in result["value"]}
    assert shown == {first.name}
    assert "12.5 % of the error" in data["results"][first.name]["value"]


def test_without_outputs_the_weights_are_shown():
    report = digits_report("int4-weights", calibrated=False, evaluated=False)
    data = data_of(report)
    assert data["name"] == "quantd: weight SQNR, bits"
    layer = report.layers[0]
    assert data["results"][layer.name]["value"] == f"{layer.weight.sqnr_db:.1f} dB, 4 bits"


@pytest.mark.parametrize(("sqnr_db", "color"), [(-3.0, COLORS[0][1]), (25.0, COLORS[2][1]), (200.0, GOOD)])
def test_the_color_tells_the_sqnr(sqnr_db, color):
    report = digits_report("int4-weights", calibrated=False, evaluated=False)
    first = report.layers[0]
    weight = first.weight.model_copy(update={"sqnr_db": sqnr_db})
    layers = (first.model_copy(update={"weight": weight}), *report.layers[1:])
    assert data_of(report.model_copy(update={"layers": layers}))["results"][first.name]["bgColor"] == color


@pytest.mark.parametrize("name", ['a"b', "重み", "a\nb", "__proto__", ""])
def test_a_name_of_any_characters_is_a_key(name):
    assert name in data_of(renamed(digits_report("int4"), name))["results"]


MODELS = {
    "LSTM": ("net (float[s, b, 8] x) => (y) {y = LSTM <hidden_size=4> (x, w, r)}", {"w": (1, 16, 8), "r": (1, 16, 4)}),
    "MatMul": ("net (float[n, 64] x) => (float[n, 32] y) {y = MatMul(x, w)}", {"w": (64, 32)}),
    "Gemm": ("net (float[n, 64] x) => (float[n, 32] y) {y = Gemm(x, w, c)}", {"w": (64, 32), "c": (32,)}),
    "Gather": ("net (int64[n] i) => (y) {y = Gather(w, i)}", {"w": (50, 32)}),
}  # fmt: skip


@pytest.fixture
def quantized(tmp_path):
    """Return a function that quantizes a model and returns its node data, and the ids of its nodes."""

    def run(text, **arrays):
        (tmp_path / "float.onnx").write_bytes(proto_of(text, **arrays))
        quantize_model(Inputs(tmp_path / "float.onnx", "float", {"preset": "int4-weights"}), tmp_path, lambda *_: None)
        data = json.loads((tmp_path / "model_explorer.json").read_bytes())
        SCHEMA.validate(data)
        return data["results"], [node.name for node in onnx.load(tmp_path / "model.onnx").graph.node]

    return run


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_the_keys_are_names_of_nodes_in_the_exported_model(model, quantized):
    text, shapes = model
    results, names = quantized(text, **{name: RNG.standard_normal(shape) for name, shape in shapes.items()})
    assert results
    assert set(results) <= set(names)


def test_a_layer_in_a_branch_has_the_id_that_the_adapter_gives_to_its_node(quantized):
    text = """net (float[n, 64] x, bool c) => (float[n, 32] y) {
        [choice] y = If (c) <
            then_branch = then () => (float[n, 32] a) {
                [inner] a = If (c) <
                    then_branch = t () => (float[n, 32] p) {[first] p = MatMul(x, w)},
                    else_branch = e () => (float[n, 32] q) {[second] q = MatMul(x, v)}
                >
            },
            else_branch = other () => (float[n, 32] b) {[third] b = MatMul(x, u)}
        >
    }"""
    results, _ = quantized(text, **{name: RNG.standard_normal((64, 32)) for name in "wvu"})
    assert set(results) == {
        "choice/then_branch/inner/then_branch/first",
        "choice/then_branch/inner/else_branch/second",
        "choice/else_branch/third",
    }


def test_the_keys_are_names_of_nodes_of_the_digits_network(examples, tmp_path):
    quantize_model(Inputs(examples / "digits.onnx", "x", {"preset": "int8-weights"}), tmp_path, lambda *_: None)
    names = {node.name for node in onnx.load(tmp_path / "model.onnx").graph.node}
    assert set(data_of(digits_report("int4"))["results"]) <= names


def test_both_weights_of_a_recurrent_node_are_on_its_node(quantized):
    text, shapes = MODELS["LSTM"]
    results, _ = quantized(text, **{name: RNG.standard_normal(shape) for name, shape in shapes.items()})
    assert list(results) == ["lstm0"]
    assert results["lstm0"]["value"].startswith("/W ")
    assert "; /R " in results["lstm0"]["value"]
