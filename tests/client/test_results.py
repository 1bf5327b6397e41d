"""The result of a job as rows."""

import pytest

from quantd.regression import check_regressions
from quantd.results import full_report_rows, gate_rows, regression_rows, report_rows, summary_rows

SUMMARY = {
    "bytes_before": 1000, "bytes_after": 250, "size_ratio": 0.25, "quantized_layers": 3, "layers": 4,
    "weight_sqnr_db": 30.0, "output_sqnr_db": None, "output_cosine": None, "top1_agreement": None, "top1_float": None,
    "top1_quantized": None, "seconds": 1.5,
}  # fmt: skip
TIMING = {"threads": 1, "batch": 8, "median_ms": 4.0, "quartiles_ms": [3.9, 4.1], "runs": 20}


def layer(name, share=None):
    return {
        "name": name, "bits": 4, "weight": {"sqnr_db": 21.26}, "output": {"sqnr_db": 12.34}, "error_share": share,
    }  # fmt: skip


REPORT = {
    "layers": [layer(f"/layer{number}/conv\x1b[0m", number / 20) for number in range(8)],
    "worst_layers": [f"/layer{number}/conv\x1b[0m" for number in range(7, -1, -1)],
    "diagnosis": {"sentence": "Most of the error comes from one layer."},
    "warnings": ["first", "second"],
    "skipped": [{"name": "/gather", "op": "Gather", "reason": "its weight is a table"}],
}


def texts(rows):
    return [f"{row.label} {row.text}" for row in rows]


def test_figures_that_were_not_measured_are_left_out():
    assert texts(summary_rows(SUMMARY, None, None)) == [
        "size 250 bytes, 25.0 % of 1.0 kB", "layers 3 of 4 quantized", "weight SQNR 30.00 dB",
    ]  # fmt: skip


def test_figures_show_their_difference_from_the_baseline():
    now = SUMMARY | {"top1_float": 90.0, "top1_quantized": 89.0, "output_sqnr_db": 20.0}
    before = now | {"size_ratio": 0.2, "weight_sqnr_db": 29.0, "top1_quantized": 89.5}
    size, _, weight, output, top1 = texts(summary_rows(now, None, before))
    assert size.endswith("(baseline: 5.00 points worse)")
    assert weight.endswith("(baseline: 1.00 dB better)")
    assert output.endswith("(baseline: the same)")
    assert top1 == "top-1 89.00 %, float 90.00 % (baseline: 0.50 points worse)"


def test_a_figure_that_the_baseline_lacks_has_no_difference():
    now = SUMMARY | {"output_sqnr_db": 20.0}
    assert "output SQNR 20.00 dB" in texts(summary_rows(now, None, SUMMARY))


def test_latency_is_that_of_both_models():
    latency = {"float": [TIMING], "quantized": [TIMING | {"median_ms": 3.0}], "ratio": 0.75, "reason": None}
    last = texts(summary_rows(SUMMARY, latency, None))[-1]
    assert last == "latency 3 ms, float 4 ms: 0.75 of it (median, batch 8, 1 thread)"


def test_gates_show_their_verdict_value_and_limit():
    gates = [
        {"name": "max_size_ratio", "limit": 0.3, "value": 0.25, "passed": True},
        {"name": "max_top1_drop_points", "limit": 1.0, "value": None, "passed": False},
        {"name": "min_output_sqnr_db", "limit": 30.0, "value": 26.511, "passed": False},
        {"name": "max_output_sqnr_db_regression", "limit": 1, "value": None, "passed": True, "reason": "other data"},
    ]
    assert texts(gate_rows(gates)) == [
        "gate pass max_size_ratio 0.25, limit 0.3",
        "gate FAIL max_top1_drop_points not measured, limit 1 points",
        "gate FAIL min_output_sqnr_db 26.51 dB, limit 30 dB, missed by 3.49 dB",
        "gate pass max_output_sqnr_db_regression not judged: other data",
    ]


def test_a_missing_baseline_is_said():
    (row,) = texts(regression_rows("tag branch=main", None, []))
    assert "no succeeded job of this model has the tag branch=main yet" in row


def test_regressions_show_their_verdict():
    limits = {"weight_sqnr_db": 0.5, "bytes_after": 0}
    checks = check_regressions(limits, SUMMARY | {"weight_sqnr_db": 31.0}, SUMMARY, same_evaluation=True)
    job = {"id": "job_1", "finished_at": "2026-01-01T00:00:00Z"}
    rows = texts(regression_rows("job_1", job, checks))
    assert rows[0] == "baseline job_1 of 2026-01-01T00:00:00Z"
    assert rows[1] == "change FAIL weight_sqnr_db 30, 1 dB worse than 31, limit 0.5 dB"
    assert rows[2].startswith("change pass bytes_after")


def test_the_five_worst_layers_are_named_in_full_and_warnings_are_counted():
    diagnosis, header, *layers, warnings = texts(report_rows(REPORT))
    assert diagnosis == "diagnosis Most of the error comes from one layer."
    assert " ".join(header.split()) == "worst bits weight output of error layer (SQNR in dB; error of weights)"
    assert layers[0].split() == ["4", "21.3", "12.3", "35.0", "%", "/layer7/conv\x1b[0m"]
    assert len(layers) == 5
    assert warnings == "warnings 2, listed in the report"


def test_without_shares_the_report_says_which_layers_are_the_worst():
    layers = [entry | {"error_share": None} for entry in REPORT["layers"]]
    rows = texts(report_rows({**REPORT, "layers": layers, "worst_layers": ["/layer3/conv\x1b[0m", "unknown"]}))
    assert [row.split() for row in rows[2:-1]] == [["4", "21.3", "12.3", "-", "/layer3/conv\x1b[0m"]]


def test_the_full_report_lists_every_layer_node_and_warning():
    rows = texts(full_report_rows(REPORT))
    assert sum("/conv" in row for row in rows) == 8
    assert "skipped /gather (Gather): its weight is a table" in rows
    assert rows[-2:] == ["warning first", "warning second"]


@pytest.mark.parametrize("missing", ["diagnosis"])
def test_a_report_without_a_diagnosis_is_shown(missing):
    assert len(list(report_rows({**REPORT, missing: None}))) == 7
