"""Tables on a terminal."""

import io

from rich.console import Console

from client.tables import gates_table, jobs_table, latency_table, summary_table

SUMMARY = {
    "bytes_before": 1000, "bytes_after": 250, "size_ratio": 0.25, "quantized_layers": 3, "layers": 4,
    "weight_sqnr_db": 30.0, "output_sqnr_db": None, "top1_float": None, "top1_quantized": None, "seconds": 1.5,
}  # fmt: skip


def text(table):
    console = Console(file=io.StringIO(), width=160)
    console.print(table)
    return console.file.getvalue()


def test_a_summary_leaves_out_rows_without_values():
    printed = text(summary_table({"a.onnx": SUMMARY}))
    assert "25.0 %" in printed
    assert "3 of 4" in printed
    assert "output SQNR" not in printed


def test_a_gate_shows_its_limit_value_and_verdict():
    gates = [
        {"name": "max_size_ratio", "limit": 0.3, "value": 0.25, "passed": True},
        {"name": "max_top1_drop_points", "limit": 1.0, "value": None, "passed": False},
    ]
    lines = text(gates_table(gates)).splitlines()
    assert any("max_size_ratio" in line and "0.25" in line and "pass" in line for line in lines)
    assert any("not measured" in line and "fail" in line for line in lines)


def test_a_job_without_a_summary_has_no_size():
    job = {"id": "job_1", "status": "queued", "verdict": None, "summary": None, "created_at": "now"}
    assert "job_1" in text(jobs_table([job]))
    assert "%" not in text(jobs_table([job]))


def test_latency_is_a_row_for_each_setting():
    timing = {"threads": 2, "batch": 8, "median_ms": 4.0, "quartiles_ms": [3.9, 4.1], "runs": 20}
    latency = {"float": [timing], "quantized": [timing | {"median_ms": 3.0}], "ratio": 0.75, "reason": None}
    assert any(
        "4 ms" in line and "3 ms" in line and "0.75" in line for line in text(latency_table(latency)).splitlines()
    )


def test_latency_that_was_not_measured_shows_the_reason():
    assert "too large" in text(latency_table({"float": [], "quantized": [], "ratio": None, "reason": "too large"}))
