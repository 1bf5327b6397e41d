"""The page docs/reliability.md follows from docs/reliability.json, and its attacks from tests that exist."""

import json
from pathlib import Path

import pytest

from benchmarks.reliability.attacks import ATTACKS
from benchmarks.reliability.page import page
from benchmarks.reliability.promises import PROMISES

ROOT = Path(__file__).parents[2]
SPREAD = {"median": 1.0, "worst": 2.0}
RUN = {
    "seed": 1, "commit": "abc", "every_s": 8, "jobs": 3, "ends": {"succeeded": 2, "failed worker.crashed": 1},
    "attempts": {"0": 1, "1": 1, "3": 1}, "job_seconds": SPREAD, "answers": {"200": 5, "503": 2, "ReadError": 1},
    "seconds": 9, "faults": {"kill worker": {"count": 2, "ready_seconds": SPREAD, "next_end_seconds": SPREAD}},
    "promises": [{"promise": "A job ends.", "checked": 3, "violations": 1, "examples": ["job_1: still running"]}],
}  # fmt: skip
SETTING = {"environment": "a processor", "lease_s": 5}


def test_the_page_is_that_of_its_figures():
    stored = json.loads((ROOT / "docs" / "reliability.json").read_text())
    written = (ROOT / "docs" / "reliability.md").read_text()
    assert written == page(stored), "run python -m benchmarks.chaos --page"


def test_the_stored_figures_are_of_every_promise():
    stored = json.loads((ROOT / "docs" / "reliability.json").read_text())
    for run in stored["runs"]:
        assert [promise["promise"] for promise in run["promises"]] == [
            check.__doc__.split("\n")[0] for check in PROMISES
        ]


def test_the_figures_of_several_runs_are_added_and_violations_are_named():
    attack = {
        "row": "A1",
        "attack": "a",
        "before": "b",
        "after": "c",
        "tests": ["tests/x.py"],
        "passed": 2,
        "failed": 1,
    }
    text = page({"setting": SETTING, "runs": [RUN, RUN | {"seed": 2}], "attacks": [attack]})
    assert "| kill worker | 4 | 1.0, 2.0 | 1.0, 2.0 |" in text
    assert "| A job ends. | 6 | 2 |" in text
    assert "- seed 2: job_1: still running" in text
    assert "2 succeeded, 1 failed (`worker.crashed`)" in text
    assert "5 2xx, 2 503, 1 none" in text
    assert "| A1 | a | b | c | `tests/x.py` | 2 of 3 |" in text


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.attack[:40])
def test_the_tests_that_repeat_an_attack_exist(attack):
    for file, names in attack.tests:
        text = (ROOT / "tests" / file).read_text()
        for name in filter(None, names.split(" or ")):
            assert any(name in line for line in text.splitlines() if line.startswith(("def test", "async def test")))
