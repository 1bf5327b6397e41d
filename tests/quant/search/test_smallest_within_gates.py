"""The search for the smallest model within its gates: gates that can hold, and gates that cannot."""

import json

import numpy as np
import pytest

from quant.errors import DataRequired, SpecError
from quant.evaluation.metrics import OutputComparison
from quant.outcome.summary import SizeFigures
from quant.pipeline import Inputs, quantize_model
from quant.search.candidates import MeasuredCandidate
from quant.search.smallest_within_gates import first_that_passes, held_out_gates
from quant.spec import Gates, require_data, resolve
from tests.specs import UNTIMED

BASE = {"preset": "int8", "objective": "smallest_within_gates", "export": {"opset": 25}}


@pytest.mark.parametrize("count", [1, 2, 3, 10, 171])
def test_bisection_finds_the_first_that_passes_in_few_trials(count):
    for first in range(count):
        trials = []
        assert first_that_passes(count, lambda n, first=first, trials=trials: trials.append(n) or n >= first) == first
        assert len(trials) == len(set(trials)) <= 2 + np.log2(count)
    assert first_that_passes(count, lambda _: False) is None


@pytest.fixture
def quantize(tmp_path, examples):
    def run(spec):
        calibration, evaluated = (examples / f"digits_{role}.npz" for role in ("calibration", "evaluation"))
        inputs = Inputs(examples / "digits.onnx", "m", {**UNTIMED, **BASE, **spec}, calibration, evaluated)
        outcome = quantize_model(inputs, tmp_path, lambda *_: None)
        return outcome, json.loads((tmp_path / "report.json").read_text()), (tmp_path / "gates.junit.xml").read_text()

    return run


def test_it_finds_a_small_model_that_passes_the_gates(quantize):
    outcome, report, _ = quantize({"gates": {"max_top1_drop_points": 2, "min_output_sqnr_db": 22}})
    search = report["search"]
    assert search["passed"]
    assert search["fails_by"] is None
    assert outcome.verdict == "pass"
    assert outcome.summary.size_ratio < 0.2
    sizes = [trial["size_ratio"] for trial in search["tried"]]
    passed = [trial["passed"] for trial in search["tried"]]
    assert sizes == sorted(sizes)
    assert passed == sorted(passed)  # the small ones fail, the large ones pass
    assert {False, True} == set(passed)
    chosen = search["tried"][passed.index(True)]
    assert chosen["size_ratio"] == pytest.approx(outcome.summary.size_ratio, rel=0.01)
    strict, _, _ = quantize({"gates": {"min_output_sqnr_db": 28}})
    assert strict.summary.size_ratio > outcome.summary.size_ratio


def test_where_no_allocation_passes_the_report_says_by_how_much_the_best_fails(quantize):
    outcome, report, junit = quantize({"gates": {"min_output_sqnr_db": 90, "max_size_ratio": 0.3}})
    assert outcome.verdict == "fail"
    assert not report["search"]["passed"]
    assert "min_output_sqnr_db is " in report["search"]["fails_by"]
    assert any("no choice of bits passes" in warning for warning in report["warnings"])
    assert "misses the limit by" in junit
    assert report["allocation"]["chosen"]["mean_bits"] > 7.5  # the best there is
    assert outcome.summary.size_ratio <= 0.3


def test_a_budget_bounds_the_search(quantize):
    outcome, report, _ = quantize({"gates": {"min_output_sqnr_db": 90}, "budget": {"max_bytes": 40_000}})
    assert outcome.summary.bytes_after <= 40_000
    assert not report["search"]["passed"]


def test_without_labels_every_changed_answer_counts_as_lost():
    rng = np.random.default_rng(0)
    expected = rng.normal(size=(200, 4)).astype(np.float32)
    actual = expected.copy()
    actual[:10] = np.roll(actual[:10], 1, axis=1)  # 10 of 200 answers change
    drops = []
    for labels in (None, expected.argmax(axis=1)):
        outputs = OutputComparison(classes_by_spec=True)
        outputs.add([expected], [actual], labels)
        candidate = MeasuredCandidate("", {}, [], None, {}, outputs)  # type: ignore[arg-type]
        (gate,) = held_out_gates(Gates(max_top1_drop_points=5), candidate, SizeFigures.of(1000, 200))
        drops.append(gate.value)
        assert not gate.passed  # 5 points were seen: by a standard error it may be more
    assert drops == pytest.approx([5 + 100 * np.sqrt(0.05 * 0.95 / 200)] * 2, abs=0.8)


def test_a_gate_on_quality_and_calibration_data_are_required():
    with pytest.raises(SpecError, match="needs a gate on quality"):
        resolve({**BASE, "gates": {"max_size_ratio": 0.3}})
    spec = resolve({**BASE, "preset": "int8-weights", "gates": {"min_layer_sqnr_db": 6}})
    with pytest.raises(DataRequired) as caught:
        require_data(spec, calibration=False, evaluation=False)
    assert caught.value.errors[0].pointer == "/objective"
