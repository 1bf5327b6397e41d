"""The section on latency of the report page."""

import pytest
from pydantic import ValidationError

from quant.outcome.gates import GateResult
from quant.outcome.latency import Latency, LayerTime, Timing
from quant.outcome.latency_section import MARK, with_latency

PAGE = f"<p>before</p>{MARK}<p>after</p>".encode()


def timing(median, threads=1):
    return Timing(threads=threads, batch=8, median_ms=median, quartiles_ms=(0.9 * median, 1.1 * median), runs=20)


LATENCY = Latency(
    float=(timing(4.0), timing(2.5, 2)), quantized=(timing(3.0), timing(1.5, 2)), ratio=0.75,
    layers=(LayerTime(name="<b>", op="Conv", float_ms=3, quantized_ms=2),),
    other=LayerTime(name="", op="", float_ms=1, quantized_ms=1), warnings=("slow <i>",),
)  # fmt: skip


def test_the_figures_stand_in_the_place_of_the_mark():
    page = with_latency(PAGE, LATENCY, []).decode()
    assert page.startswith("<p>before</p>")
    assert page.endswith("<p>after</p>")
    assert MARK not in page
    for text in ("4 ms", "3 ms", "0.75", "0.60", "all other nodes"):
        assert text in page


def test_texts_of_the_model_are_escaped():
    page = with_latency(PAGE, LATENCY, []).decode()
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert "<i>" not in page


def test_gates_on_durations_are_shown_and_others_are_not():
    gates = [
        GateResult(name="max_latency_ratio", limit=0.5, value=0.75, passed=False),
        GateResult(name="max_size_ratio", limit=0.5, value=0.3, passed=True),
    ]
    page = with_latency(PAGE, LATENCY, gates).decode()
    assert "max_latency_ratio" in page
    assert "fail" in page
    assert "max_size_ratio" not in page


def test_a_reason_stands_there_without_figures():
    assert "not measured: too &lt;slow&gt;" in with_latency(PAGE, Latency.unmeasured("too <slow>"), []).decode()


def test_without_a_measurement_the_page_stays_as_it_is():
    assert with_latency(PAGE, None, []) == PAGE


@pytest.mark.parametrize(
    "changes",
    [{"median_ms": 0}, {"median_ms": float("nan")}, {"quartiles_ms": (1, -1)}, {"threads": 0}, {"runs": 0}],
)
def test_impossible_timings_are_refused(changes):
    with pytest.raises(ValidationError):
        Timing.model_validate(timing(1.0).model_dump() | changes)


def test_both_models_need_equally_many_timings():
    with pytest.raises(ValidationError, match="equally many"):
        Latency(float=(timing(1.0),), quantized=(), ratio=None)
