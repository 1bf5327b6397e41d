"""Tables on a terminal."""

import io

from rich.console import Console

from quantd.tables import job_lines, summary_table

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


def test_a_job_is_one_line_with_its_whole_id_and_name():
    job = {
        "id": "job_" + 32 * "0", "status": "succeeded", "verdict": "pass", "summary": SUMMARY, "model": "model_1",
        "model_name": "a-model-with-a-long-name.onnx", "created_at": "2020-01-01T00:00:00Z",
    }  # fmt: skip
    waiting = job | {"status": "queued", "verdict": None, "summary": None, "model_name": None}
    header, first, second = job_lines([job, waiting])
    assert header.split() == ["id", "status", "gates", "size", "age", "model"]
    assert first.split()[:5] == [job["id"], "succeeded", "pass", "25", "%"]
    assert first.endswith(" d  a-model-with-a-long-name.onnx")
    assert second.split()[1:4] == ["queued", "-", "-"]
    assert second.endswith(" model_1")
