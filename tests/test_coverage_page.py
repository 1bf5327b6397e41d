"""The page docs/coverage.md follows from docs/coverage.json."""

import json
from pathlib import Path

import pytest

from benchmarks.coverage_page import decision_table, page

ROOT = Path(__file__).parent.parent


def row(tool: str, model: str = "net.onnx", kind: str = "linear", **figures: object) -> dict[str, object]:
    measured = {"sqnr_db": 30.0, "worst_db": 29.0, "metric": "Top-1 accuracy", "metric_float": 0.9, "metric_value": 0.9,
                "size_ratio": 0.3, "latency_ratio": 0.8, "float_ms": 1.0, "seconds": 1.0, "peak_mb": 200.0}  # fmt: skip
    return {"model": model, "kind": kind, "real": True, "tool": tool, **measured, **figures}


def test_the_page_is_the_one_of_its_figures():
    stored = json.loads((ROOT / "docs" / "coverage.json").read_text())
    written = (ROOT / "docs" / "coverage.md").read_text()
    assert written == page(stored["environment"], stored["rows"]), "run python -m benchmarks.models --page"


@pytest.mark.parametrize(
    ("small", "proposed"),
    [
        ({"metric_value": 0.86}, "int4-weights"),  # 0.956 of the float model's
        ({"metric_value": 0.85}, "int8"),  # 0.944
        ({"metric": "Cosine", "sqnr_db": 15.1}, "int4-weights"),
        ({"metric": "Cosine", "sqnr_db": 14.9}, "int8"),
        ({"sqnr_db": None}, "int8"),
    ],
)
def test_the_smallest_preset_is_one_that_keeps_the_task(small, proposed):
    rows = [row("quantd int8"), row("quantd int4-weights", size_ratio=0.15, **small)]
    cells = list(decision_table(rows))[-1].split(" | ")
    assert cells[3].startswith(f"`{proposed}`")


def test_networks_that_lose_their_task_are_named():
    rows = [row("quantd int8", f"net{number}.onnx", metric_value=0.9 if number else 0.5) for number in range(4)]
    assert "not net0" in list(decision_table(rows))[-1]
    assert "| none |" in list(decision_table(rows[:3]))[-1]  # one of three is too many


def test_a_tool_that_changes_nothing_or_keeps_weights_in_float_is_not_the_best():
    rows = [row("quantd int8"), row("a", sqnr_db=200.0), row("b", sqnr_db=50.0, size_ratio=0.9), row("c", sqnr_db=20.0)]
    text = page("", rows)
    assert "| c: 20.0 dB" in text
    assert "| a | nothing quantized |" in text
