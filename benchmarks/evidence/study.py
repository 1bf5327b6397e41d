"""A study: rows of figures in a CSV file, from which its page and its plots are made.

Rows that are in the file are not measured again, so a study that was interrupted goes on where it stopped.
"""

import csv
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.child import ROOT

RECORDED = ROOT / "docs" / "evidence"
"""The folder of the recorded results."""
QUICK = ROOT / "build" / "evidence"
"""The folder of the results of the quick form, which are measured anew each time."""
ENVIRONMENT = "environment.json"
"""The file with the machine of each study, by the study's name."""
LIBRARIES = ("numpy", "scipy", "onnxruntime", "torch")
Value = str | int | float
Row = Mapping[str, Value]
Case = tuple[Value, ...]


@dataclass(frozen=True)
class Table:
    """The rows of a study.

    Attributes:
        path: the CSV file.
        keys: the columns that name a case.
    """

    path: Path
    keys: tuple[str, ...]

    def rows(self) -> list[dict[str, Value]]:
        """Return the rows of the file; numbers as int or float."""
        if not self.path.exists():
            return []
        with self.path.open(newline="") as file:
            return [{name: _value(text) for name, text in row.items()} for row in csv.DictReader(file)]

    def measure(self, cases: Iterable[Case], figures_of: Callable[..., Sequence[Row]]) -> None:
        """Measure the cases that are not in the file, and write the rows of each as soon as they are known.

        Args:
            cases: the values of the key columns of each case.
            figures_of: takes these values and returns the rows of the case, without the key columns.
        """
        cases = list(cases)
        known = {tuple(row[key] for key in self.keys) for row in self.rows()}
        missing = [case for case in cases if case not in known]
        started = time.perf_counter()
        for number, case in enumerate(missing, start=1):
            rows = [{**dict(zip(self.keys, case, strict=True)), **row} for row in figures_of(*case)]
            self._append(rows)
            seconds = time.perf_counter() - started
            label = " ".join(str(value) for value in case)
            print(f"{self.path.stem}: {number} of {len(missing)} ({label}), {seconds:.0f} s", file=sys.stderr)
        if missing:
            self._note_environment()

    def _append(self, rows: Sequence[Row]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not self.path.exists()
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            if is_new:
                writer.writeheader()
            writer.writerows({name: _text(value) for name, value in row.items()} for row in rows)

    def _note_environment(self) -> None:
        path = self.path.with_name(ENVIRONMENT)
        known = json.loads(path.read_text()) if path.exists() else {}
        known[self.path.stem] = environment()
        path.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")


def environment() -> str:
    """Return the processor, the cores and the versions of the libraries."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.machine()
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return f"{processor}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}, {libraries}"


def environment_of(path: Path) -> str:
    """Return the environment in which the rows of a file were measured."""
    text: str = json.loads(path.with_name(ENVIRONMENT).read_text())[path.stem]
    return text


def table(header: Sequence[str], rows: Iterable[Sequence[Value]]) -> str:
    """Return a table in Markdown; floats have three significant digits."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_text(cell, 3) for cell in line) + " |" for line in lines)


def _text(value: Value, digits: int = 5) -> str:
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def _value(text: str) -> Value:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
