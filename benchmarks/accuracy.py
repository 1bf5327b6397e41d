"""The accuracy of real networks at few bits, on data that the quantizer never saw; writes docs/accuracy.md.

    python -m benchmarks.accuracy [--models resnet20_cifar10,...] [--settings w8a8,...] [--steps] [--images 10000]

Models and data are those of ../shared/data (or QUANTD_DATA). CIFAR and MNIST networks are calibrated on 256 training
images, VWW and ImageNet networks on 200 of their images; ImageNet's are in a fixed random order. Up to `--images` other
images evaluate a model. docs/accuracy.json keeps the results, so that parts of the table can be measured again.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.networks import DATA, split
from benchmarks.networks import LABELLED as MODELS
from benchmarks.peers import PEERS, Job
from quant.data.read import read_dataset
from quant.errors import QuantdError
from quant.evaluation.compare import evaluate
from quant.graph.load.onnx_file import load
from quant.pipeline import Inputs, quantize_model
from quant.runtime import Session

CIFAR_NETS, DEPTHWISE = MODELS[:4], MODELS[4:6]
BEST_OF_SEVEN = {"resnet20_cifar10": 28.9, "resnet20_cifar10_jpeg": 31.7, "resnet56_cifar10": 28.1,
                 "vww_mobilenetv1_025": 25.1, "mobilenetv1_075_imagenet": 17.3, "vit_mnist": 31.2}  # fmt: skip
"""The output SQNR in dB of the best of seven other tools at 8 bits."""
INTRODUCTION = """# Accuracy

The accuracy of real networks after quantization to few bits, on images that the quantizer never saw. Written by
`benchmarks/accuracy.py`, which also keeps the figures in `docs/accuracy.json`.

CIFAR and MNIST networks are calibrated on 256 training images, VWW and ImageNet networks on 200 of their images. All
are evaluated on other images, whose number is in the tables. The columns `float` and `quantd` are the top-1 accuracies
in percent. The difference is in percentage points, with its 95 % interval. SQNR is that of the outputs in dB, and the
size is a fraction of the float file's size. The last column has the targets and says if they were reached.

A heading has the preset and a short name; the line below has the spec with all that a reader would type.
[How to choose](choosing.md#by-task), [coverage](coverage.md) and [few bits](few_bits.md) have presets without options.
"""
SAME_SIZE = 1.1
"""A setting is compared with another one only if the other's file is at most this many times as large."""
FEEDBACK = {"rounding": "error_feedback"}
EXPECTED = {"rounding": "expected_feedback"}
PLAIN = {"weights": {"clipping": "minmax"}, "bias_correction": "none"}


@dataclass(frozen=True)
class Setting:
    """A spec and its targets.

    Attributes:
        title: the heading of the setting.
        spec: the spec.
        may_lose: the greatest loss of top-1 accuracy in points, by model.
        least: the least top-1 accuracy in percent, by model.
        least_db: the least output SQNR in dB, by model.
        calibrated: True if the job gets calibration data.
        ahead_of: the setting whose top-1 accuracy this setting must reach.
        peers: the bits of the weights for other tools; None to leave them out.
    """

    title: str
    spec: dict[str, Any]
    may_lose: dict[str, float]
    least: dict[str, float]
    least_db: dict[str, float] = field(default_factory=dict)
    calibrated: bool = True
    ahead_of: str | None = None
    peers: int | None = None


SETTINGS = {
    "w8a8": Setting(
        "8-bit weights and activations",
        {"preset": "int8", "activations": {"clipping": "auto"}, "equalization": "auto"},
        dict.fromkeys(MODELS, 0.3),
        {},
        BEST_OF_SEVEN | {model: BEST_OF_SEVEN[model] + 3 for model in DEPTHWISE},
        peers=8,
    ),
    "w4a8": Setting(
        "4-bit weights, error feedback and bias correction; 8-bit activations",
        {"preset": "int4", "weights": FEEDBACK},
        dict.fromkeys(CIFAR_NETS, 1.0) | {"vww_mobilenetv1_025": 2.0},
        {"mobilenetv1_075_imagenet": 74.0},
        peers=4,
    ),
    "w4-minmax": Setting("4-bit weights alone, MinMax", {"preset": "int4-weights", **PLAIN}, {}, {}, calibrated=False),
    "w4-data-free": Setting(
        "4-bit weights alone, without any data",
        {"preset": "int4-weights", "weights": EXPECTED},
        dict.fromkeys(CIFAR_NETS, 3.0),
        {"mobilenetv1_075_imagenet": 60.0},
        calibrated=False,
        ahead_of="w4-minmax",
    ),
    "w3a8": Setting(
        "3-bit codebook with error feedback; 8-bit activations",
        {"preset": "codebook4", "weights": {"bits": 3, **FEEDBACK}},
        dict.fromkeys(CIFAR_NETS, 2.5),
        {},
    ),
    "w2a8": Setting(
        "2-bit weights (ternary) with error feedback; 8-bit activations",
        {"preset": "ternary", "weights": FEEDBACK},
        {},
        {},
        ahead_of="w2-twn",
    ),
    "w2-twn": Setting(
        "2-bit weights by the plain ternary rule (TWN)",
        {"preset": "ternary", "weights": {"grid": "ternary_twn"}, "bias_correction": "none"},
        {},
        {},
    ),
    "budget": Setting(
        "bits allocated so that the file has 0.16 of the float file's size",
        {"preset": "int8", "weights": FEEDBACK, "budget": {"max_size_ratio": 0.16}, "export": {"opset": 25}},
        dict.fromkeys((*CIFAR_NETS, "vww_mobilenetv1_025"), 1.0) | {"mobilenetv1_075_imagenet": 4.0},
        {},
        ahead_of="w4a8",
    ),
}
STEPS: dict[str, dict[str, Any]] = {
    "MinMax": PLAIN,
    "+ bounds by output error": {"weights": {}, "bias_correction": "none"},
    "+ error feedback": {"weights": FEEDBACK, "bias_correction": "none"},
    "+ bias correction": {"weights": FEEDBACK, "bias_correction": "calibrated"},
    "+ equalization": {"weights": FEEDBACK, "bias_correction": "calibrated", "equalization": "cross_layer"},
}
"""The methods that make up the setting w4a8, added one after the other."""
PEER_SAMPLES = 32
"""Calibration images for other tools, whose percentile methods keep the activations of all images in memory."""
PEER_NAMES = {
    "ONNX Runtime MinMax": "quantize_static MinMax",
    "ONNX Runtime Percentile": "quantize_static Percentile",
}
"""The other tools by their names in the tables."""
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--settings", default=",".join(SETTINGS))
    parser.add_argument("--steps", action="store_true", help="also measure each step of w4a8 alone")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=Path("docs/accuracy.md"))
    arguments = parser.parse_args()
    results = arguments.out.with_suffix(".json")
    rows: dict[str, Row] = {}
    if results.exists():
        rows = {key(row): row for row in json.loads(results.read_text())}
    settings = arguments.settings.split(",") if arguments.settings else []
    for name in arguments.models.split(","):
        for row in measure(name, settings, arguments.steps, arguments.images):
            rows[key(row)] = row
            print(
                f"{row['model']:26}{row['setting']:13}{row['what']:26}{figures(row)}  {row['kept'] or ''}", flush=True
            )
            results.write_text(json.dumps(list(rows.values()), indent=1) + "\n")
    arguments.out.write_text(page(list(rows.values())))


def key(row: Row) -> str:
    return f"{row['model']} {row['setting']} {row['what']}"


def measure(name: str, settings: list[str], steps: bool, images: int) -> Iterator[Row]:
    """Yield a row for each setting, step and other tool."""
    with tempfile.TemporaryDirectory() as folder:
        sets = Path(folder, "calibration.npz"), Path(folder, "evaluation.npz")
        for path, arrays in zip(sets, split(name, None, images), strict=True):
            np.savez(path, **arrays)
        for title in settings:
            setting = SETTINGS[title]
            yield ours(name, title, "quantd", setting.spec, sets, calibrated=setting.calibrated)
            for tool in PEER_NAMES if setting.peers else ():
                begun = time.perf_counter()
                result = by_peer(tool, DATA / "models" / f"{name}.onnx", sets, Path(folder), setting.peers or 8)
                yield row_of(name, title, tool, result, time.perf_counter() - begun)
        for step, spec in STEPS.items() if steps else ():
            yield ours(name, "steps", step, {**SETTINGS["w4a8"].spec, **spec}, sets, calibrated=True)


def ours(name: str, setting: str, what: str, spec: dict[str, Any], sets: tuple[Path, Path], *, calibrated: bool) -> Row:
    model = DATA / "models" / f"{name}.onnx"
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        inputs = Inputs(model, name, spec, sets[0] if calibrated else None, sets[1])
        summary = quantize_model(inputs, Path(folder), lambda *_: None).summary
        seconds = time.perf_counter() - begun
        report = json.loads(Path(folder, "report.json").read_text())
    result = {**summary.model_dump(), **report["evaluation"]["top1_difference"]}
    return row_of(name, setting, what, result, seconds) | {"kept": (report["compared"] or {}).get("kept")}


def by_peer(tool: str, model: Path, sets: tuple[Path, Path], folder: Path, bits: int) -> dict[str, Any]:
    """Quantize a model with a tool, weights per channel; return its figures, or `refused` with the reason."""
    out, source = folder / "peer.onnx", load(model)
    try:
        samples = list(read_dataset(sets[0], source).singly().spread(PEER_SAMPLES).batches())
        PEERS[PEER_NAMES[tool]].quantize(Job(model, samples, out, bits=bits))
        test, reference = read_dataset(sets[1], source), Session(model)
        expected = (reference.run(feeds) for feeds in test.batches())
        comparison = evaluate(expected, Session(out), test, lambda *_: None)
    except (QuantdError, ValueError, RuntimeError, KeyError) as error:
        return {"refused": f"fails: {type(error).__name__}"}
    sizes = {"size_ratio": out.stat().st_size / model.stat().st_size}
    return {**comparison.figures().model_dump(), **comparison.details(None)["top1_difference"], **sizes}


def row_of(name: str, setting: str, what: str, result: dict[str, Any], seconds: float) -> Row:
    columns = ("top1_float", "top1_quantized", "points", "low", "high", "samples", "output_sqnr_db", "size_ratio")
    figures = {figure: result.get(figure) for figure in columns}
    return {
        "model": name,
        "setting": setting,
        "what": what,
        **figures,
        "kept": result.get("refused"),
        "seconds": seconds,
    }


def figures(row: Row) -> str:
    if row["top1_quantized"] is None:
        return "not measured"
    return (f"{row['samples']:6} images {row['top1_float']:7.2f} -> {row['top1_quantized']:6.2f} "
            f"{row['output_sqnr_db']:7.2f} dB  size {row['size_ratio']:.3f} {row['seconds']:6.1f} s")  # fmt: skip


def verdict(row: Row, others: dict[tuple[str, str], Row]) -> str:
    """Return the targets of a row, and the distance to the one that was missed most."""
    setting, model, missed, asked = SETTINGS[row["setting"]], row["model"], [], []
    if model in setting.may_lose:
        asked.append(f"lose at most {setting.may_lose[model]:g}")
        missed.append(-row["points"] - setting.may_lose[model])
    if model in setting.least:
        asked.append(f"at least {setting.least[model]:g}")
        missed.append(setting.least[model] - row["top1_quantized"])
    if model in setting.least_db:
        asked.append(f"at least {setting.least_db[model]:.1f} dB")
        missed.append(setting.least_db[model] - row["output_sqnr_db"])
    other = others.get((model, setting.ahead_of or ""))
    if other is not None and other["size_ratio"] <= SAME_SIZE * row["size_ratio"]:
        asked.append(f"ahead of {other['setting']} ({other['top1_quantized']:.2f})")
        missed.append(other["top1_quantized"] - row["top1_quantized"])
    if not asked:
        return ""
    worst = max(missed)
    return ", ".join(asked) + (": reached" if worst <= 1e-9 else f": **missed by {worst:.2f}**")


def page(rows: list[Row]) -> str:
    """Return docs/accuracy.md: a table for each setting, one of the other tools and one of the steps."""
    order = {name: number for number, name in enumerate(MODELS)}
    rows = sorted(rows, key=lambda row: order[row["model"]])
    mine = {(row["model"], row["setting"]): row for row in rows if row["what"] == "quantd"}
    text = [INTRODUCTION]
    for name, setting in SETTINGS.items():
        of_setting = [row for (_, title), row in mine.items() if title == name]
        if not of_setting:
            continue
        data = "calibration data" if setting.calibrated else "no calibration data"
        text += [f"## {setting.spec['preset']}, {name}: {setting.title}", "",
                 f"Spec: `{json.dumps(setting.spec)}`, {data}", ""]  # fmt: skip
        text += [
            "| model | images | float | quantd | difference | SQNR | size | target |",
            "| --- |" + " ---: |" * 6 + " --- |",
        ]
        text += [table_line(row, verdict(row, mine)) for row in of_setting] + [""]
        text += peers_table([row for row in rows if row["setting"] == name])
    return "\n".join([*text, *steps_table([row for row in rows if row["setting"] == "steps"])]) + "\n"


def table_line(row: Row, asked: str) -> str:
    return (f"| {row['model']} | {row['samples']} | {row['top1_float']:.2f} | {row['top1_quantized']:.2f} | "
            f"{row['points']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}] | {row['output_sqnr_db']:.1f} | "
            f"{row['size_ratio']:.3f} | {asked} |")  # fmt: skip


def peers_table(rows: list[Row]) -> list[str]:
    tools = list(dict.fromkeys(row["what"] for row in rows))
    if len(tools) < 2:
        return []
    cells = {(row["model"], row["what"]): row for row in rows}
    lines = [f"| top-1, SQNR | {' | '.join(tools)} |", "| --- |" + " ---: |" * len(tools)]
    for model in dict.fromkeys(row["model"] for row in rows):
        row = [cells.get((model, tool)) for tool in tools]
        lines.append(f"| {model} | {' | '.join(peer_cell(cell) for cell in row)} |")
    return [*lines, ""]


def peer_cell(row: Row | None) -> str:
    if row is None:
        return ""
    if row["top1_quantized"] is None:
        return str(row["kept"])
    return f"{row['top1_quantized']:.2f}, {row['output_sqnr_db']:.1f} dB"


def steps_table(rows: list[Row]) -> list[str]:
    if not rows:
        return []
    cells = {(row["model"], row["what"]): row for row in rows}
    lines = [
        "## The steps of w4a8",
        "",
        f"| top-1, SQNR | images | float | {' | '.join(STEPS)} |",
        "| --- |" + " ---: |" * (2 + len(STEPS)),
    ]
    for model in dict.fromkeys(row["model"] for row in rows):
        first = next(row for row in rows if row["model"] == model)
        steps = [cells.get((model, step)) for step in STEPS]
        lines.append(
            f"| {model} | {first['samples']} | {first['top1_float']:.2f} | {' | '.join(map(peer_cell, steps))} |"
        )
    return lines


if __name__ == "__main__":
    main()
