"""The page docs/coverage.md: every network beside other tools, and the other files.

`benchmarks/models.py` writes it from docs/coverage.json.
"""

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]
OURS = "quantd "
"""The beginning of the names of quantd's specs among the tools."""
FOUR_BITS = ("MatMulNBits", ", 4 bits")
"""The ends of the names of other tools with 4-bit weights."""
KEEPS = 0.95
"""The least figure of the task, as a fraction of the float model's, for a file that keeps its task."""
LEAST_DB = 15.0
"""The least SQNR in dB of a file that keeps its task, where the task has a cosine only."""
LEAST_SHARE = 0.75
"""The least share of a kind's networks that keep their task with a preset that is proposed."""
UNCHANGED_DB = 199.0
"""The SQNR in dB from which a file computes what the float model computes: nothing was quantized."""
SAME_SIZE = 1.3
"""The largest size of another tool's file, as a fraction of that of quantd's, for both to be compared."""
SMALLER = 0.9
"""The largest size of a file with 4-bit weights as a fraction of the float model's; above it most weights are float."""
KINDS = {
    "convolutional": "convolutional",
    "transformer": "transformer",
    "recurrent": "with LSTM, GRU or RNN",
    "linear": "MatMul and Gemm only",
}
"""The kinds of network and their names in the table."""
COMPUTED_IN_FLOAT = (OURS + "fp16",)
"""The presets whose figures on a CPU say nothing about the machines that they are for."""
WITHOUT_DATA = " without data"
"""The end of the name of a spec whose job gets no calibration data."""
INTRODUCTION = """# Coverage

Real networks, quantized by quantd and by other tools. [How to choose](choosing.md) names the preset that follows for
each kind of network, and the presets with more options. Written by `benchmarks/models.py`, which keeps the figures in
`docs/coverage.json`.

Every tool calibrates on the same samples: those beside the model, or 64 images. Other samples evaluate; no tool sees
them. Each measurement runs in a process of its own, with one thread on one processor: {environment}.
The figures are:

- main and worst: the SQNR in dB of the main output, and of the output with the least one;
- task: the figure of the network's task, for the quantized file. Accuracy is the share of correct classes; the other
  figures compare with the float model. [Methods](methods.md) describes them;
- size and latency: fractions of the float model's. Latency is the processor time of one sample;
- seconds and MB: the processor time of the job, and the peak memory of its process.
"""
BESIDE = f"""
## Beside other tools

SQNR of the main output, task, size, latency. The best is the one with the highest SQNR: of `int8` with options,
and of the other tools' files that are at most {SAME_SIZE:g} times as large as that of `int8`. MatMulNBits is left out
where the file stays above {SMALLER:g} of the float model's size. It leaves tables in float.

"""
OTHERS = """
## Other files

Files without real inputs: random values calibrate and evaluate, or images without labels. Each cell has the number of
quantized layers and of all layers with a weight, the size, the SQNR of the outputs, and `(!)` if the report has
warnings.

"""


@dataclass(frozen=True)
class Candidate:
    """A preset's median figures over the networks of a kind.

    Attributes:
        name: the name of the preset.
        sqnr_db: the SQNR of the main output.
        size: the size as a fraction.
        latency: the latency as a fraction.
        failing: the networks that do not keep their task.
        networks: the number of networks.
    """

    name: str
    sqnr_db: float
    size: float
    latency: float
    failing: tuple[str, ...]
    networks: int

    @property
    def data_free(self) -> bool:
        """True if the preset was used without calibration data."""
        return self.name.endswith(WITHOUT_DATA)

    @property
    def proposed(self) -> bool:
        """True if enough networks keep their task."""
        return len(self.failing) <= (1 - LEAST_SHARE) * self.networks

    def cell(self) -> str:
        failing = f"; not {', '.join(self.failing)}" if self.failing else ""
        return f"`{self.name}`: {self.sqnr_db:.1f} dB, {self.size:.2f}, {self.latency:.2f}{failing}"


def page(environment: str, rows: Sequence[Row]) -> str:
    """Return the page.

    Args:
        environment: the processor, and the versions of the tools.
        rows: the measurements, in the order of the networks and of the tools.
    """
    real = [row for row in rows if row["real"]]
    lines = [INTRODUCTION.format(environment=environment).rstrip()]
    lines += [BESIDE.rstrip(), "", *beside_table(real), "", "## Networks", ""]
    for model in dict.fromkeys(row["model"] for row in real):
        lines += [*network_table([row for row in real if row["model"] == model]), ""]
    others = [row for row in rows if not row["real"]]
    if others:
        lines += [OTHERS.strip(), "", *others_table(others), "", *refusals(others)]
    return "\n".join(lines).rstrip() + "\n"


def decision_table(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of the table of presets by kind of network and aim."""
    yield "| network | closest to float | fastest | smallest | without calibration data |"
    yield "| --- | --- | --- | --- | --- |"
    for kind, name in KINDS.items():
        candidates = list(candidates_of([row for row in rows if row["kind"] == kind]))
        if not candidates:
            continue
        proposed = [candidate for candidate in candidates if candidate.proposed]
        chosen = (
            max(candidates, key=lambda candidate: candidate.sqnr_db),
            min(proposed, key=lambda candidate: candidate.latency, default=None),
            min(proposed, key=lambda candidate: candidate.size, default=None),
            max((each for each in candidates if each.data_free), key=lambda each: each.sqnr_db, default=None),
        )
        yield f"| {name} | {' | '.join('none' if each is None else each.cell() for each in chosen)} |"


def candidates_of(rows: Sequence[Row]) -> Iterator[Candidate]:
    """Yield the presets that quantize every network of a kind, without those for other machines than CPUs."""
    models = {row["model"] for row in rows}
    for tool in dict.fromkeys(row["tool"] for row in rows if row["tool"].startswith(OURS)):
        measured = [row for row in rows if row["tool"] == tool and is_measured(row)]
        if tool not in COMPUTED_IN_FLOAT and {row["model"] for row in measured} == models:
            yield Candidate(
                tool.removeprefix(OURS),
                statistics.median(row["sqnr_db"] for row in measured),
                statistics.median(row["size_ratio"] for row in measured),
                statistics.median(row["latency_ratio"] for row in measured),
                tuple(row["model"].removesuffix(".onnx") for row in measured if not keeps_task(row)),
                len(measured),
            )


def is_measured(row: Row | None) -> bool:
    """Return True if a tool gave a file that runs."""
    return row is not None and "refused" not in row and row["sqnr_db"] is not None


def keeps_task(row: Row) -> bool:
    """Return True if the quantized file does what the float model does, by the figure of its task."""
    if row["metric"] == "Cosine":
        return bool(row["sqnr_db"] >= LEAST_DB)
    return bool(row["metric_value"] >= KEEPS * row["metric_float"])


def beside_table(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of the table of quantd's presets and the best other tool for each network."""
    yield "| network | `int8` | best `int8` | best other tool | `int8-weights` | `int4-weights` | other tool, 4 bits |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for model in dict.fromkeys(row["model"] for row in rows):
        tools = {row["tool"]: row for row in rows if row["model"] == model}
        ours = [row for tool, row in tools.items() if tool == OURS + "int8" or tool.startswith(OURS + "int8,")]
        ours = [row for row in ours if not row["tool"].endswith(WITHOUT_DATA)]
        peers = [row for tool, row in tools.items() if not tool.startswith(OURS)]
        eight = [row for row in peers if not row["tool"].endswith(FOUR_BITS)]
        four = [row for row in peers if row not in eight and row.get("size_ratio", 1) <= SMALLER]
        int8, weights8, weights4 = (tools.get(OURS + name) for name in ("int8", "int8-weights", "int4-weights"))
        cells = [short(int8), named(best(ours, None)), named(best(eight, int8)), short(weights8)]
        cells += [short(weights4), named(best(four, None))]
        yield f"| {model.removesuffix('.onnx')} | {' | '.join(cells)} |"


def best(rows: Iterable[Row], beside: Row | None) -> Row | None:
    """Return the row with the highest SQNR; files that are much larger than `beside`, or unchanged, do not count."""
    largest = SAME_SIZE * beside["size_ratio"] if beside is not None and is_measured(beside) else float("inf")
    fair = [row for row in rows if is_measured(row) and row["size_ratio"] <= largest and row["sqnr_db"] < UNCHANGED_DB]
    return max(fair, key=lambda row: float(row["sqnr_db"]), default=None)


def named(row: Row | None) -> str:
    return "" if row is None else f"{row['tool'].removeprefix(OURS)}: {short(row)}"


def short(row: Row | None) -> str:
    """Return the most important figures of a file for one cell."""
    if row is None or not is_measured(row):
        return ""
    return f"{row['sqnr_db']:.1f} dB, {row['metric_value']:.3f}, {row['size_ratio']:.2f}, {row['latency_ratio']:.2f}"


def network_table(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the heading and the table of one network: a line for each tool."""
    measured = next((row for row in rows if is_measured(row)), None)
    metric, float_ms = ("none", "-") if measured is None else (measured["metric"], f"{measured['float_ms']:.2f}")
    yield f"### {rows[0]['model'].removesuffix('.onnx')}"
    yield ""
    yield f"Kind: {KINDS[rows[0]['kind']]}. Task: {metric}. Latency of the float model: {float_ms} ms."
    yield ""
    yield "| tool | main | worst | task | size | latency | seconds | MB |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for row in rows:
        yield f"| {row['tool']} | {' | '.join(cells(row))} |"


def cells(row: Row) -> list[str]:
    """Return the cells of one tool's line."""
    if "refused" in row:
        return [f"refused: {row['refused']}".replace("|", "\\|"), *[""] * 6]
    if row["sqnr_db"] is not None and row["sqnr_db"] > UNCHANGED_DB:
        return ["nothing quantized", *[""] * 6]
    decibels = ["none" if row[name] is None else f"{row[name]:.1f}" for name in ("sqnr_db", "worst_db")]
    figures = [f"{row[name]:{form}}" for name, form in (("metric_value", ".3f"), ("size_ratio", ".3f"))]
    costs = [f"{row['latency_ratio']:.2f}", f"{row['seconds']:.1f}", f"{row['peak_mb']:.0f}"]
    return [*decibels, *figures, *costs]


def others_table(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the table of the files without real inputs."""
    tools = list(dict.fromkeys(row["tool"] for row in rows))
    yield f"| model | {' | '.join(tool.removeprefix(OURS) for tool in tools)} |"
    yield f"| --- |{' --- |' * len(tools)}"
    for model in dict.fromkeys(row["model"] for row in rows):
        of_model = {row["tool"]: row for row in rows if row["model"] == model}
        yield f"| {model} | {' | '.join(other_cell(of_model.get(tool)) for tool in tools)} |"


def other_cell(row: Row | None) -> str:
    if row is None:
        return ""
    if "refused" in row:
        return f"refused: `{row['refused']}`"
    sqnr = "" if row["report_db"] is None else f", {row['report_db']:.1f} dB"
    return (
        f"{row['quantized_layers']}/{row['layers']}, {row['size_ratio']:.2f}{sqnr}{' (!)' if row['warnings'] else ''}"
    )


def refusals(rows: Sequence[Row]) -> list[str]:
    """Return the section of the reasons for which files were refused."""
    details = sorted({f"- {row['model']}: `{row['refused']}`: {row['detail']}" for row in rows if "detail" in row})
    return ["## Refused", "", *details] if details else []
