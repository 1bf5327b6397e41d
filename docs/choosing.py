"""The page docs/choosing.md: which preset to take, from the figures that the benchmarks keep in docs/.

`python -m docs.choosing` writes it; a test fails when the page and the figures differ.
"""

import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.coverage_page import (
    KEEPS,
    KINDS,
    LEAST_DB,
    LEAST_SHARE,
    OURS,
    WITHOUT_DATA,
    Row,
    decision_table,
    is_measured,
    keeps_task,
)
from docs.reference_pages.markdown import code, document, table
from quant.spec.profiles import PROFILES

FOLDER = Path(__file__).parent
DYNAMIC = "activations: {mode: dynamic}"
INTRODUCTION = """# How to choose

Start with `int8` if you have calibration data, and with `int8-weights` if you have none. Look at the report, then try
what the tables below propose. [`quantd plan`](command.md) shows the size and the weight error of every preset for your
own model in seconds. Written by `python -m docs.choosing` from the figures of [coverage](coverage.md),
[few bits](few_bits.md) and [time and memory](time_bounds.md).

## By machine, data and aim

The figures are medians over the networks that were measured with this preset on one x86 CPU with VNNI: the SQNR of the
main output, the size and the latency as fractions of the float model's."""
KEEPING = f"""A network keeps its task if the task's figure is at least {KEEPS:g} of the float model's or, for a cosine,
if its SQNR is at least {LEAST_DB:g} dB."""
BY_KIND = f"""## By kind of network

For each kind of network and aim, the best preset, with its median SQNR of the main output, size and latency. The
networks are those of [coverage](coverage.md) with real inputs. A preset can be the fastest or the smallest if at least
{100 * LEAST_SHARE:g} % of the networks keep their task with it; the networks that do not are named. `fp16` is left out,
since CPUs compute it in float32, and so is a preset that was not measured on every network of the kind. Names with a
comma are presets with more options:

- `int8, auto`: every search, `activations: {{mode: auto, clipping: auto}}`, `equalization: auto`, `smoothing: auto` and
  `keep_float: auto`;
- `int8, dynamic`: `{DYNAMIC}`;
- `int4, feedback`: `weights: {{rounding: error_feedback}}`;
- `without data`: the job got no calibration data."""
BY_MACHINE = """## The profile of the machine

The preset says how many bits, the profile which machine. [Machines](machines.md) has the rules of each; only ONNX
Runtime and OpenVINO run in the tests."""
BY_TASK = """## By task

The figure of each network's task with the presets as they are typed. [Methods](methods.md) describes the figures, and
[coverage](coverage.md) has more presets and other tools."""
FEW_BITS = """Top-1 accuracy in percent with the presets for few bits, on images that the quantizer never saw, with the
difference in points. [Few bits](few_bits.md) has the intervals and other sizes."""
BY_TIME = """## By time

Processor seconds and memory of a job above that of its libraries. [Time and memory](time_bounds.md) has the bounds."""
COMPARED = (
    "int8",
    "int8-weights",
    f"int8-weights{WITHOUT_DATA}",
    "int4-weights",
    f"int4-weights{WITHOUT_DATA}",
)
"""The specs of the table by task."""


@dataclass(frozen=True)
class Case:
    """A situation and the preset for it.

    Attributes:
        machine: the machine that runs the model.
        data: the data that the job gets.
        aim: the aim.
        spec: the spec that the reader types.
        tool: the name of the spec among the rows of coverage; empty if it was not measured there.
        kinds: the kinds of network.
    """

    machine: str
    data: str
    aim: str
    spec: str
    tool: str = ""
    kinds: tuple[str, ...] = tuple(KINDS)


CASES = (
    Case("CPU", "calibration", "speed", "{preset: int8}", "int8"),
    Case("CPU", "calibration", "outputs closest to float", "{preset: int8-weights}", "int8-weights"),
    Case("CPU", "none", "a quarter of the size", "{preset: int8-weights}", f"int8-weights{WITHOUT_DATA}"),
    Case("CPU", "none", "speed of transformers and MLPs", f"{{preset: int8, {DYNAMIC}}}",
         f"int8, dynamic{WITHOUT_DATA}", ("transformer", "linear")),
    Case("any", "calibration", "weights dominate the file, such as language models", "{preset: int4-weights}",
         "int4-weights", ("transformer", "linear")),
    Case("any", "none", "the same", "{preset: int4-weights}", f"int4-weights{WITHOUT_DATA}", ("transformer", "linear")),
    Case("CPU", "calibration", "half the size of int8", "{preset: small}"),
    Case("CPU", "calibration", "the smallest file", "{preset: smallest}"),
    Case("CPU", "calibration, evaluation", "the smallest file that passes your gates",
         "{preset: auto, gates: {min_output_sqnr_db: 25}}"),
    Case("GPU, NPU", "none", "half the size, next to no error", "{preset: fp16}", "fp16"),
)  # fmt: skip


def page() -> str:
    """Return the page."""
    stored, few_bits, times = (
        json.loads((FOLDER / f"{name}.json").read_text()) for name in ("coverage", "few_bits", "time_bounds")
    )
    rows = [row for row in stored["rows"] if row["real"]]
    cases = ([case.machine, case.data, case.aim, code(case.spec), _measured(case, rows, few_bits)] for case in CASES)
    profiles = ([profile.description, code(f"export: {{profile: {profile.name}}}")] for profile in PROFILES.values())
    return document(
        INTRODUCTION,
        table(["machine", "data", "aim", "spec", "measured"], cases),
        KEEPING,
        BY_KIND,
        "\n".join(decision_table(rows)),
        BY_MACHINE,
        table(["machine", "spec"], profiles),
        BY_TASK,
        table(["network", "task", "float", *map(code, COMPARED)], _tasks(rows)),
        FEW_BITS,
        table(["network", "images", "float", "`small`", "`smallest`"], _few_bits(few_bits)),
        BY_TIME,
        table(["network", "samples", "`int8`", "`int8-weights`"], _times(times)),
    )


def _measured(case: Case, rows: Sequence[Row], few_bits: Sequence[Row]) -> str:
    """Return the figures of a case: medians of coverage, else those of the preset for few bits."""
    measured = [row for row in rows if row["tool"] == OURS + case.tool and row["kind"] in case.kinds]
    measured = [row for row in measured if is_measured(row)]
    if measured:
        sqnr, size, latency = (
            statistics.median(row[name] for row in measured) for name in ("sqnr_db", "size_ratio", "latency_ratio")
        )
        time = "" if case.tool == "fp16" else f", {latency:.2f} of the time"
        keeping = sum(map(keeps_task, measured))
        return f"{sqnr:.1f} dB, {size:.2f} of the size{time}; {keeping} of {len(measured)} networks keep their task"
    preset = yaml.safe_load(case.spec)["preset"]
    points = [f"{row['points']:+.2f} points at {row['size_ratio']:.2f} ({row['model']})" for row in few_bits
              if row["size"] == preset]  # fmt: skip
    return f"top-1 {', '.join(points)}" if points else "depends on the gates"


def _tasks(rows: Sequence[Row]) -> Iterator[list[str]]:
    for model in dict.fromkeys(row["model"] for row in rows):
        tools = {row["tool"].removeprefix(OURS): row for row in rows if row["model"] == model and is_measured(row)}
        metric = next(iter(tools.values()))
        figures = [f"{tools[name]['metric_value']:.3f}" if name in tools else "" for name in COMPARED]
        yield [model.removesuffix(".onnx"), metric["metric"], f"{metric['metric_float']:.3f}", *figures]


def _few_bits(rows: Sequence[Row]) -> Iterator[list[str]]:
    by_size = {(row["model"], row["size"]): row for row in rows}
    for model in dict.fromkeys(row["model"] for row in rows):
        presets = [by_size.get((model, size)) for size in ("small", "smallest")]
        cells = [f"{row['top1_quantized']:.2f} ({row['points']:+.2f})" if row else "" for row in presets]
        measured = next(row for row in presets if row)
        yield [model, str(measured["samples"]), f"{measured['top1_float']:.2f}", *cells]


def _times(times: dict[str, Any]) -> Iterator[list[str]]:
    for model, presets in times.items():
        cells = [f"{row['processor_job']:.1f} s, {row['peak_mb']:.0f} MB" if (row := presets.get(name)) else ""
                 for name in ("int8", "int8-weights")]  # fmt: skip
        yield [model, str(next(iter(presets.values()))["samples"]), *cells]


if __name__ == "__main__":
    (FOLDER / "choosing.md").write_text(page())
