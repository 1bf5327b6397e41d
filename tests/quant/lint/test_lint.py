"""Every rule on a model that breaks it, and every profile on models that its options make."""

import numpy as np
import openvino
import pytest

from quant.evaluation.sqnr import sqnr_db
from quant.lint.lint import RULES, lint, texts
from quant.runtime import Session
from quant.spec import PROFILES
from tests.quant.export.exported import exported

RNG = np.random.default_rng(0)
CONVS = """net (float[2, 3, 8, 8] x) => (float[2, 5] y) {
    a = Conv <pads = [1, 1, 1, 1]> (x, w, b) r = Relu (a) c = Conv <pads = [1, 1, 1, 1]> (r, v)
    t = Add (c, r) s = Sigmoid (t) m = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (s)
    f = Flatten (m) y = Gemm (f, g, h)
}"""
ARRAYS = {
    "w": RNG.normal(size=(6, 3, 3, 3)), "b": RNG.normal(size=6), "v": RNG.normal(size=(6, 6, 3, 3)),
    "g": RNG.normal(size=(96, 5)) / 10, "h": RNG.normal(size=5),
}  # fmt: skip
MATRIX = "net (float[N, 16] x) => (float[N, 8] y) { y = MatMul (x, w) }"
W = {"w": RNG.normal(size=(16, 8))}
UNAVOIDABLE = {
    "qnn": {"target.float_node"},
    "tflite": {"target.float_node", "target.fixed_scale", "target.shared_scale"},
}
"""The codes that a model with a float output and a Sigmoid gives with the options of a profile."""


def codes(data, profile, **options):
    return {finding.code for finding in lint(data, PROFILES[profile], **options)}


@pytest.mark.parametrize("name", PROFILES)
def test_the_options_of_a_profile_make_what_its_machine_takes(name):
    data = exported(CONVS, {"export": {"profile": name}}, **ARRAYS)
    assert codes(data, name) <= {*UNAVOIDABLE.get(name, ()), *({"target.opset"} if name == "rknn" else ())}
    (actual,) = Session(data).run({"x": np.ones((2, 3, 8, 8), np.float32)})
    assert np.isfinite(actual).all()


@pytest.mark.parametrize(
    ("profile", "raw", "code"),
    [
        ("tensorrt", {"activations": {"sign": "unsigned"}}, "target.activation_type"),
        ("tensorrt", {"activations": {"sign": "signed"}}, "target.activation_zero_point"),
        ("vitis-ai", {"activations": {"symmetric": True}}, "target.scale"),
        ("tflite", {"activations": {"sign": "signed"}}, "target.fixed_scale"),
        ("openvino", {"preset": "int8", "activations": {"bits": 16}}, "target.activation_type"),
        ("rknn", {"preset": "int4", "export": {"weight_storage": "direct"}}, "target.weight_type"),
        ("openvino", {"preset": "codebook4"}, "target.weight_form"),
        ("tensorrt", {"preset": "int4"}, "target.weight_form"),
        ("vitis-ai", {"weights": {"granularity": "channel"}}, "target.weight_granularity"),
        ("ort-cpu-avx2", {}, "target.pair_sums"),
        ("ort-cpu-avx2", {"preset": "codebook4"}, "target.pair_sums"),
        ("tensorrt", {}, "target.bias"),
        ("qnn", {"export": {"bias": "float"}}, "target.bias"),
        ("tensorrt", {"preset": "int8-weights", "export": {"weight_storage": "direct", "profile": "generic"}},
         "target.float_input"),
        ("qnn", {"exclude_operators": ["Sigmoid"]}, "target.float_node"),
        ("rknn", {}, "target.opset"),
    ],
)  # fmt: skip
def test_a_model_of_other_options_breaks_a_rule(profile, raw, code):
    data = exported(CONVS, raw, **ARRAYS)
    findings = [finding for finding in lint(data, PROFILES[profile]) if finding.code == code]
    assert findings
    for finding in findings:
        assert finding.names
        assert finding.accepted
        assert finding.source.startswith("https://")
    if RULES[code].reads_values:
        assert code not in codes(data, profile, placeholders=True)


def test_pair_sums_are_proved_for_stored_and_computed_codes():
    for raw in ({}, {"preset": "codebook4"}):
        raw = {**raw, "export": {"profile": "ort-cpu-avx2"}}
        assert codes(exported(CONVS, raw, **ARRAYS), "ort-cpu-avx2") == set()


def test_free_axes_and_bodies_are_not_for_qnn():
    assert "target.dynamic_shape" in codes(exported(MATRIX, **W), "qnn")
    text = (
        "net (bool c, float[2, 16] x) => (float[2, 8] y) { h = MatMul (x, w) y = If (c) <then_branch = t () => "
        "(float[2, 8] a) { a = Abs (h) }, else_branch = e () => (float[2, 8] b) { b = Neg (h) }> }"
    )
    (finding,) = (f for f in lint(exported(text, **W), PROFILES["qnn"]) if f.code == "target.operator")
    assert "If" in finding.detail


def test_findings_of_one_kind_are_listed_once_with_all_names():
    findings = lint(exported(CONVS, **ARRAYS), PROFILES["tensorrt"])
    by_code = {finding.code: finding for finding in findings}
    assert len(by_code["target.activation_type"].names) >= 4
    sentences = texts(findings, PROFILES["tensorrt"])
    assert len(sentences) == len(findings)
    assert any("more); accepted: int8" in sentence for sentence in sentences)


def test_every_rule_has_a_code_of_the_target():
    assert all(code.startswith("target.") for code in RULES)
    assert len(RULES) == len({rule.violations for rule in RULES.values()})


def test_a_profile_without_limits_finds_nothing_and_reads_nothing():
    assert lint(b"", PROFILES["ort-cpu"]) == ()


@pytest.mark.parametrize("profile", ["openvino", "tensorrt", "vitis-ai"])
def test_openvino_agrees_with_onnx_runtime(profile):
    data = exported(CONVS, {"export": {"profile": profile}}, **ARRAYS)
    x = RNG.normal(size=(2, 3, 8, 8)).astype(np.float32)
    core = openvino.Core()
    (expected,) = Session(data).run({"x": x})
    actual = core.compile_model(core.read_model(data), "CPU")({"x": x})[0]
    assert sqnr_db(float((expected**2).sum()), float(((actual - expected) ** 2).sum())) > 25
