"""The parts of the report page that belong to one job."""

import pytest

from quant.outcome.gates import GateResult
from quant.outcome.job_parts import JobFacts, Part, fill_page, job_parts
from quant.outcome.latency import Latency, LayerTime, Timing

STORED = JobFacts([GateResult(name="max_size_ratio", limit=0.5, value=0.3, passed=True)], timed_gates=1)
PAGE = "".join(f"<p>{part.name}</p>{html}" for part, html in job_parts(STORED).items()).encode()


def timing(median, threads=1, batch=8):
    return Timing(threads=threads, batch=batch, median_ms=median, quartiles_ms=(0.9 * median, 1.1 * median), runs=20)


LATENCY = Latency(
    float=(timing(4.0), timing(2.5, 2)), quantized=(timing(3.0), timing(1.5, 2)), ratio=0.75,
    layers=(LayerTime(name="<b>", op="Conv", float_ms=3, quantized_ms=2),),
    other=LayerTime(name="", op="", float_ms=1, quantized_ms=1), warnings=("slow <i>",),
)  # fmt: skip
TIMED = GateResult(name="max_latency_ratio", limit=0.5, value=0.75, passed=False)
SQNR = GateResult(name="min_output_sqnr_db", limit=20, value=23.5, passed=True)
UNMEASURED = GateResult(name="max_top1_drop_points", limit=1, value=None, passed=False)


def filled(**facts):
    return fill_page(PAGE, JobFacts(**{"gates": STORED.gates, **facts})).decode()


def test_the_figures_of_the_job_stand_between_the_marks_of_the_stored_page():
    page = filled(latency=LATENCY, job_id="j1")
    assert [line for line in page.split("<p>") if line.startswith("VERDICT</p>")]
    for text in ("75 %", "4 → 3 ms", "for 8 samples", "4 ms", "3 ms", "0.75", "0.60", "all other nodes", "j1"):
        assert text in page
    assert all(page.count(part.begin) == page.count(part.end) == 1 for part in Part)


def test_a_filled_page_can_be_filled_again():
    assert (
        filled(latency=LATENCY, job_id="j1")
        == fill_page(filled().encode(), JobFacts(STORED.gates, LATENCY, "j1")).decode()
    )


def test_a_page_without_marks_stays_as_it_is():
    assert fill_page(b"<p>old</p>", JobFacts([], LATENCY, "j1")) == b"<p>old</p>"


def test_a_part_without_an_end_stays_as_it_is():
    page = f"<p>{Part.JOB_ID.begin}<b>".encode()
    assert fill_page(page, JobFacts([], LATENCY, "j1")) == page


def test_texts_of_the_model_are_escaped():
    page = filled(latency=LATENCY)
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert "<i>" not in page


def test_the_verdict_of_the_job_counts_gates_on_durations():
    stored = PAGE.decode()
    assert "<strong>Pass</strong> 1 of 1 gates passed" in stored
    assert "Gates on durations are checked by each job" in stored
    page = filled(gates=[*STORED.gates, TIMED], latency=LATENCY)
    assert "<strong>Fail</strong> 1 of 2 gates passed" in page
    assert "Gates on durations" not in page


@pytest.mark.parametrize(
    ("gate", "texts"),
    [
        (TIMED, ("at most 0.5", "0.75", "−0.25", "fail")),
        (SQNR, ("at least 20 dB", "23.5 dB", "+3.5 dB", "pass")),
        (UNMEASURED, ("at most 1 points", "not measured", "fail")),
    ],
)
def test_a_gate_shows_limit_value_unit_and_margin(gate, texts):
    page = filled(gates=[gate])
    for text in texts:
        assert f">{text}<" in page


def test_without_gates_there_is_no_verdict():
    assert "the spec sets no gates" in filled(gates=[])
    only_timed = job_parts(JobFacts([], timed_gates=1))[Part.VERDICT]
    assert "only gates on durations" in only_timed


def test_a_reason_stands_there_without_figures():
    page = filled(latency=Latency.unmeasured("too <slow>"))
    assert page.count("too &lt;slow&gt;") == 2


def test_without_a_measurement_the_page_says_that_each_job_measures():
    assert "each job measures it anew" in filled()
    assert '<section id="latency"' not in filled()
