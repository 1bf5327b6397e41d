"""A format for each weight under a budget, on a real model: the exported file, and the use of its bytes."""

import json

import numpy as np
import onnx
import pytest

from quant.errors import BudgetTooSmall, SpecError
from quant.pipeline import Inputs, quantize_model
from quant.runtime import Session, optimised_operators
from quant.spec import resolve
from tests.quant.onnx_text import proto_of
from tests.specs import UNTIMED

PLAIN = {"weights": {"clipping": "minmax"}, "bias_correction": "none"}


@pytest.fixture
def quantize(tmp_path, examples):
    """Quantize the digits network; return the exported bytes, the summary and the report."""

    def run(spec, data=True):
        tmp_path.mkdir(exist_ok=True)
        calibration, evaluation = (examples / f"digits_{role}.npz" for role in ("calibration", "evaluation"))
        inputs = Inputs(examples / "digits.onnx", "m", {**UNTIMED, **spec}, calibration if data else None, evaluation)
        outcome = quantize_model(inputs, tmp_path, lambda *_: None)
        return (
            (tmp_path / "model.onnx").read_bytes(),
            outcome.summary,
            json.loads((tmp_path / "report.json").read_text()),
        )

    return run


@pytest.mark.parametrize(
    ("preset", "opset", "ratio"),
    [("int8", 21, 0.22), ("int8-weights", 25, 0.19), ("codebook4", 21, 0.22), ("int8", 25, 0.19)],
)
def test_the_file_is_within_the_budget_and_uses_it(quantize, preset, opset, ratio):
    data, summary, report = quantize(
        {"preset": preset, "budget": {"max_size_ratio": ratio}, "export": {"opset": opset}, **PLAIN}
    )
    assert summary.size_ratio <= ratio
    assert len(data) == summary.bytes_after > 0.65 * ratio * summary.bytes_before
    bits = {layer["bits"] for layer in report["layers"]}
    assert len(bits) > 1
    assert bits <= ({4, 5, 8} if opset == 21 else {*range(2, 9)})
    if preset != "int8-weights":
        assert optimised_operators(data)["DequantizeLinear(weight)"] == 0


@pytest.mark.parametrize("data", [True, False])
def test_more_bytes_give_less_error(quantize, data):
    spec = {"preset": "int8-weights", "export": {"opset": 25}}
    reports = [quantize({**spec, "budget": {"max_bytes": size}}, data)[2] for size in (26_000, 45_000)]
    expected = [report["allocation"]["chosen"]["expected_sqnr_db"] for report in reports]
    measured = [report["summary"]["output_sqnr_db"] for report in reports]
    assert expected == sorted(expected)
    assert measured == sorted(measured)
    front = reports[0]["allocation"]["front"]
    assert front[0]["mean_bits"] == 2
    assert front[-1]["mean_bits"] > 7.9
    for key in ("size_ratio", "expected_sqnr_db"):
        assert [point[key] for point in front] == sorted(point[key] for point in front)


def test_it_beats_uniform_bits_and_the_closed_form_of_the_same_size(quantize):
    uniform = quantize({"preset": "int4-weights", "export": {"opset": 25}})[1]
    budget = {"max_bytes": uniform.bytes_after + 200}  # the file of the closed form takes up to 200 bytes more
    _, mixed, report = quantize({"preset": "int4-weights", "export": {"opset": 25}, "budget": budget})
    assert mixed.bytes_after <= uniform.bytes_after + 200
    assert mixed.output_sqnr_db > uniform.output_sqnr_db
    allocation = report["allocation"]
    assert allocation["closed_form"]["mean_bits"] <= allocation["chosen"]["mean_bits"]
    assert allocation["closed_form"]["expected_sqnr_db"] < allocation["chosen"]["expected_sqnr_db"]


def test_bits_set_by_a_rule_are_kept(quantize):
    rules = [{"match": "/stem/*", "weights": {"bits": 8}}, {"match": {"op": "Gemm"}, "skip": True},
             {"match": "*", "weights": {"clipping": "mae"}}]  # fmt: skip
    spec = {"preset": "int8", "layers": rules, "budget": {"max_size_ratio": 0.87}, "export": {"opset": 25}}
    _, _, report = quantize(spec)
    first, *others = report["layers"]
    assert first["bits"] == 8
    assert len(others) == 4
    assert all(2 <= layer["bits"] <= 8 for layer in others)


def test_a_budget_holds_with_the_ranges_of_any_rule(quantize):
    _, summary, report = quantize({"activations": {"clipping": "auto"}, "budget": {"max_size_ratio": 0.22}})
    assert summary.size_ratio <= 0.22
    assert any(name.endswith("ranges by mse") for name in report["compared"]["output_sqnr_db"])


def test_a_budget_that_is_too_small_is_refused_with_the_smallest_size(quantize):
    message = r"100 bytes; the smallest .* has (\d+); export.opset 25 has 2-bit"
    with pytest.raises(BudgetTooSmall, match=message) as caught:
        quantize({"budget": {"max_bytes": 100}})
    smallest = int(caught.value.errors[0].detail.split()[-2])
    assert quantize({"budget": {"max_bytes": smallest}})[1].bytes_after <= smallest
    with pytest.raises(BudgetTooSmall):
        quantize({"budget": {"max_bytes": smallest - 1}})


def test_a_budget_shortens_names_and_changes_no_output(quantize, examples):
    image = {"input": np.load(examples / "digits_evaluation.npz")["input"][:16]}
    rule = {"match": "*", "weights": {"bits": 4, "clipping": "minmax", "rounding": "nearest"}}
    spec = {"preset": "int8", "layers": [rule]}
    plain, before, _ = quantize(spec)
    small, after, _ = quantize({**spec, "budget": {"max_size_ratio": 1}})
    np.testing.assert_array_equal(*(Session(data).run(image)[0] for data in (plain, small)))
    assert after.bytes_after < before.bytes_after - 5000
    graph = onnx.load_model_from_string(small).graph
    onnx.checker.check_model(onnx.load_model_from_string(small))
    assert [value.name for value in (*graph.input, *graph.output)] == ["input", "logits"]
    assert sum(node.name.endswith(("Conv", "Gemm")) for node in graph.node) == 7
    assert optimised_operators(plain) == optimised_operators(small)


@pytest.mark.data
@pytest.mark.parametrize("name", ["silero_vad", "dtln_1", "yunet_n_dynamic"])
def test_bits_are_allocated_to_weights_in_bodies_and_recurrent_layers(tmp_path, data, name):
    inputs = Inputs(
        data / "coverage" / f"{name}.onnx",
        "m",
        {**UNTIMED, "preset": "int8-weights", "budget": {"max_size_ratio": 0.4}},
    )
    summary = quantize_model(inputs, tmp_path, lambda *_: None).summary
    assert summary.size_ratio <= 0.4
    Session(tmp_path / "model.onnx")


def test_a_layer_gets_a_table_where_it_pays_and_equal_steps_where_it_does_not(tmp_path):
    random = np.random.default_rng(0)
    clusters = random.choice([-1.0, -0.3, 0.3, 1.0], (256, 64)) + random.normal(0, 1e-3, (256, 64))
    text = "net (float[N,4] x) => (float[N,64] y) { h = MatMul(x, few) y = MatMul(h, clusters) }"
    path = tmp_path / "two.onnx"
    path.write_bytes(proto_of(text, few=random.uniform(-1, 1, (4, 256)), clusters=clusters))
    spec = {"preset": "int8-weights", "export": {"opset": 25}, "budget": {"mean_bits": 2.5}}
    quantize_model(Inputs(path, "m", {**UNTIMED, **spec}), tmp_path, lambda *_: None)
    small, large = json.loads((tmp_path / "report.json").read_text())["layers"]
    assert (small["bits"], small["grid"]) == (8, "uniform")
    assert large["grid"] == "kmeans"


@pytest.mark.parametrize("data", [True, False])
@pytest.mark.parametrize(
    ("preset", "same_bits"),
    [
        ("small", {"preset": "int4"}),
        ("smaller", {"preset": "int4", "weights": {"bits": 3}}),
        ("smallest", {"preset": "ternary"}),
    ],
)
def test_presets_of_a_size_keep_it_and_run_in_integers_with_data(quantize, preset, same_bits, data):
    file, summary, _ = quantize({"preset": preset, "report": "weights"}, data)
    plain = quantize({**same_bits, "report": "weights", **({} if data else {"activations": None})}, data)[1]
    assert summary.bytes_after <= (1.15 if preset == "smallest" else 1) * plain.bytes_after
    assert summary.output_sqnr_db > plain.output_sqnr_db
    operators = optimised_operators(file)
    assert ("QLinearConv" in operators) == data
    assert operators["DequantizeLinear(weight)"] == 0


@pytest.mark.parametrize(
    "budget", [{}, {"max_bytes": 10, "max_size_ratio": 0.5}, {"max_bytes": 0}, {"bits": 4}, {"mean_bits": 1}]
)
def test_a_budget_is_one_limit(budget):
    with pytest.raises(SpecError, match="/budget"):
        resolve({"budget": budget})
