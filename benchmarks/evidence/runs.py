"""Runs of quantd on labelled networks, judged on images that no choice has seen."""

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from benchmarks.evidence.study import Row
from benchmarks.networks import DATA, split
from quant.data.dataset import Dataset
from quant.data.read import read_dataset
from quant.evaluation.compare import evaluate
from quant.evaluation.sqnr import sqnr_db
from quant.graph.inventory import inventory
from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise
from quant.pipeline import Inputs, quantize_model
from quant.runtime import Session
from quant.spec import resolve
from quant.weights.layer_granularity import granularity_of
from quant.weights.storage_form import StorageForm

TITLES = {
    "resnet20_cifar10": "ResNet20", "resnet56_cifar10": "ResNet56", "resnet8_mlperftiny": "ResNet8",
    "mobilenetv1_075_imagenet": "MobileNetV1 0.75", "vww_mobilenetv1_025": "MobileNetV1 0.25 VWW",
}  # fmt: skip
"""The networks of the studies and their names in tables."""
REPORT_OF_WEIGHTS = {"report": "weights", "measure": {"latency": False}}
Spec = Mapping[str, Any]


@dataclass(frozen=True)
class Bench:
    """A float network with its calibration and evaluation images, and its own outputs for the latter."""

    model: Path
    calibration: Path
    evaluation: Dataset
    expected: Sequence[Sequence[NDArray[Any]]]
    folder: tempfile.TemporaryDirectory[str]

    def run(self, spec: Spec, *, calibrated: bool) -> Row:
        """Quantize the network and return its figures on the evaluation images.

        Returns:
            The top-1 accuracies in percent, their difference in points with its 95 % interval, the SQNR of the outputs
            in dB, the mean absolute error of the weights, their SQNR in dB, the size as a fraction of the float file's,
            and how many rows each family fits best.
        """
        calibration = self.calibration if calibrated else None
        with tempfile.TemporaryDirectory() as out:
            inputs = Inputs(self.model, self.model.name, {**spec, **REPORT_OF_WEIGHTS}, calibration)
            outcome = quantize_model(inputs, Path(out), lambda *_: None)
            file = Path(out, "model.onnx").read_bytes()
            layers = json.loads(Path(out, "report.json").read_text())["layers"]
        families = sum((Counter(layer["distribution"]) for layer in layers), Counter[str]())
        return {
            **self.judge(file), "weight_mae": _mean(layers, "mae"),
            "weight_sqnr_db": _number(outcome.summary.weight_sqnr_db), "size_ratio": outcome.summary.size_ratio,
            "families": " ".join(f"{name}:{count}" for name, count in sorted(families.items())),
        }  # fmt: skip

    def judge(self, file: bytes) -> dict[str, float | int]:
        """Return the figures of a file's outputs: accuracies in percent, their difference, and the SQNR in dB."""
        comparison = evaluate(iter(self.expected), Session(file), self.evaluation, lambda *_: None)
        figures, difference = comparison.figures(), comparison.details(None)["top1_difference"]
        return {
            "samples": difference["samples"], "top1_float": figures.top1_float or 0.0,
            "top1": figures.top1_quantized or 0.0, "points": difference["points"], "low": difference["low"],
            "high": difference["high"], "sqnr_db": _number(figures.output_sqnr_db),
        }  # fmt: skip

    def with_weights(self, change: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> tuple[bytes, float]:
        """Return the float model with every weight of a layer changed, and the SQNR of all weights in dB.

        Args:
            change: takes the rows (outputs, n) of a weight and returns their new values.
        """
        model = normalise(load(self.model))
        signal = noise = 0.0
        for layer in inventory(model)[0]:
            granularity = granularity_of(layer, resolve({"preset": "int4-weights"}).weights, StorageForm.INTEGER)
            rows = granularity.rows(layer.weight)
            changed = change(rows)
            signal += float(np.square(rows, dtype=np.float64).sum())
            noise += float(np.square(changed - rows, dtype=np.float64).sum())
            value = layer.node.inputs[layer.weight_operand.index]
            assert value is not None, "a layer has a weight"
            value.const_value = ir.Tensor(granularity.restore(changed, layer.shape), name=value.name)
        return ir.to_proto(model).SerializeToString(), _number(sqnr_db(signal, noise))


@cache
def bench(name: str, images: int) -> Bench:
    """Return a network with 200 or 256 calibration images and up to `images` evaluation images."""
    folder = tempfile.TemporaryDirectory()
    paths = [Path(folder.name, f"{role}.npz") for role in ("calibration", "evaluation")]
    for path, arrays in zip(paths, split(name, None, images), strict=True):
        np.savez(path, **arrays)
    model = DATA / "models" / f"{name}.onnx"
    evaluation, session = read_dataset(paths[1], load(model)), Session(model)
    return Bench(model, paths[0], evaluation, [session.run(feeds) for feeds in evaluation.batches()], folder)


def difference(row: Mapping[str, Any]) -> str:
    """Return the difference in points with its 95 % interval."""
    return f"{row['points']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]"


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _mean(layers: Sequence[Mapping[str, Any]], name: str) -> float:
    """Return the mean of an error over all weights."""
    sizes = [layer["parameters"] for layer in layers]
    return float(np.average([layer["weight"][name] for layer in layers], weights=sizes))
