"""Guaranteed bounds of the output error, beside observed errors, a search for bad inputs and the classical bound.

The bounds hold for every input whose values lie in the ranges of the calibration images. The search moves images
within these ranges to make the error large (simultaneous perturbation, Spall 1992); it finds a lower limit of the
largest error. The classical bound multiplies the infinity norms of the layers ("On the impact of the parametrization of
deep CNNs on post-training quantization", 2025): with the largest norm in every place, or with their mean.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from benchmarks.evidence.plots import bars
from benchmarks.evidence.study import Row, Table, environment_of, table
from benchmarks.networks import DATA, split
from quant.data.read import read_dataset
from quant.graph.load.onnx_file import load
from quant.pipeline import Inputs, quantize_model
from quant.runtime import Session

KEYS = ("network", "images", "bits", "equalization")
NETWORKS = {
    "mnist_opset8": "MNIST CNN", "resnet8_mlperftiny": "ResNet8", "resnet20_cifar10": "ResNet20",
    "resnet56_cifar10": "ResNet56", "mobilenetv1_075_imagenet": "MobileNetV1 0.75",
}  # fmt: skip
STEPS, DIRECTIONS = 60, 16
"""Steps of the search, and random directions in each step."""
FIGURES = ("observed", "searched", "interval", "operator_norm", "classical_mean", "classical_max")


def run(path: Path, *, quick: bool) -> None:
    """Measure the study into the CSV file `path`."""
    names, images = (tuple(NETWORKS)[:2], 64) if quick else (tuple(NETWORKS), 200)
    cases = [(name, images, bits, kind) for name in names for bits in (8, 4) for kind in ("none", "cross_layer")]
    Table(path, KEYS).measure(cases, _figures)


def _figures(name: str, images: int, bits: int, equalization: str) -> list[Row]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        np.savez(folder / "calibration.npz", **split(name, images, 1)[0])
        model = DATA / "models" / f"{name}.onnx"
        spec = {
            "preset": f"int{bits}-weights", "bias_correction": "none", "equalization": equalization,
            "weights": {"granularity": "channel", "clipping": "minmax", "rounding": "nearest"},
            "measure": {"latency": False},
        }  # fmt: skip
        quantize_model(Inputs(model, model.name, spec, folder / "calibration.npz"), folder, lambda *_: None)
        report = json.loads((folder / "report.json").read_text())
        data = read_dataset(folder / "calibration.npz", load(model))
        file = (folder / "model.onnx").read_bytes()
        ((name, values),) = next(iter(data.in_batches(images).batches())).items()
    (bound,) = report["error_bound"]["outputs"].values()
    observed, searched = _errors((Session(model), Session(file)), name, values)
    return [
        {
            "layers": len(report["layers"]), "observed": observed, "searched": searched,
            "interval": _figure(bound["interval"]), "operator_norm": _figure(bound["operator_norm"]),
            **_classical(onnx.load_from_string(file), {name: values[:1]}, bits),
        }
    ]  # fmt: skip


def _figure(bound: dict[str, Any]) -> float:
    return float("inf") if bound["error"] is None else float(bound["error"])


def _classical(model: onnx.ModelProto, feeds: Mapping[str, NDArray[np.float32]], bits: int) -> dict[str, float]:
    """Return the classical bounds of a network as if its layers were a chain, from the norms of its quantized layers.

    The sum over layers of N d, times the largest input and a norm to the power of L - 1, where N is the number of
    weights of an output, d is half a step, and the norms, which include the biases, are at least 1.
    """
    norms, terms = [], []
    for rows, bias in _layers(model, feeds):
        norms.append(max(1.0, float((np.abs(rows).sum(1) + bias).max())))
        terms.append(rows.shape[1] * float(np.abs(rows).max()) / (2 ** (bits - 1) - 1) / 2)
    largest = max(float(np.abs(value).max()) for value in feeds.values())
    common, depth = max(1.0, largest) * sum(terms), len(norms) - 1
    chosen = {"classical_mean": float(np.mean(norms)), "classical_max": max(norms)}
    return {name: common * norm**depth for name, norm in chosen.items()}


def _layers(
    model: onnx.ModelProto, feeds: Mapping[str, NDArray[np.float32]]
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Yield the rows of each quantized weight (outputs, n), and the magnitude of its biases (outputs,)."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    fixed = set(constants)
    for node in model.graph.node:
        if all(name in fixed or not name for name in node.input):
            fixed.update(node.output)
    nodes = [
        node for node in model.graph.node
        if node.op_type in ("Conv", "Gemm", "MatMul") and node.input[1] in fixed - set(constants)
    ]  # fmt: skip
    del model.graph.output[:]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(node.input[1]) for node in nodes)
    for node, weight in zip(nodes, Session(model.SerializeToString()).run(feeds), strict=True):
        transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
        axis = 0 if node.op_type == "Conv" or transposed else 1
        rows = np.moveaxis(weight.astype(np.float64), axis, 0).reshape(weight.shape[axis], -1)
        bias = constants.get(node.input[2]) if len(node.input) > 2 else None
        yield rows, np.zeros(len(rows)) if bias is None else np.abs(bias.astype(np.float64))


def _errors(sessions: tuple[Session, Session], name: str, images: NDArray[np.float32]) -> tuple[float, float]:
    """Return the largest error of any output value on images, and after a search from the worst of them."""
    errors = [_error(sessions, name, image) for image in images[:, None]]
    others = tuple(axis for axis in range(images.ndim) if axis != 1)
    low, high = (reduce(images, axis=others, keepdims=True) for reduce in (np.min, np.max))
    worst = int(np.argmax(errors))
    return errors[worst], _search(sessions, name, images[worst : worst + 1], low, high)


def _error(sessions: tuple[Session, Session], name: str, image: NDArray[np.float32]) -> float:
    before, after = (session.run({name: image})[0].astype(np.float64) for session in sessions)
    return float(np.abs(after - before).max())


def _search(
    sessions: tuple[Session, Session], name: str, image: NDArray[np.float32], low: NDArray[np.float32],
    high: NDArray[np.float32],
) -> float:  # fmt: skip
    """Return the largest error that a search from one image finds between `low` and `high` of each channel."""
    random = np.random.default_rng(0)
    best, value = _error(sessions, name, image), image
    step, probe = 0.1 * (high - low), 0.02 * (high - low)
    for number in range(STEPS):
        gradient = np.zeros(image.shape)
        for _ in range(DIRECTIONS):
            sign = random.choice((-1.0, 1.0), image.shape)
            ends = [np.clip(value + side * probe * sign, low, high).astype(np.float32) for side in (1, -1)]
            gradient += (_error(sessions, name, ends[0]) - _error(sessions, name, ends[1])) * sign
        value = np.clip(value + step * (1 - number / STEPS) * np.sign(gradient), low, high).astype(np.float32)
        best = max(best, _error(sessions, name, value))
    return best


def page(path: Path) -> str:
    """Return the page of the study in Markdown."""
    rows = Table(path, KEYS).rows()
    header = ("network", "layers", "bits", "equalization", *(TITLES[name] for name in FIGURES), "gained")
    cells = [
        (
            NETWORKS[str(row["network"])], row["layers"], row["bits"], row["equalization"],
            *(float(row[name]) for name in FIGURES), f"{_gain(row):.1f}",
        )
        for row in rows
    ]  # fmt: skip
    return f"{INTRODUCTION.format(environment=environment_of(path))}\n\n{table(header, cells)}\n"


def _gain(row: dict[str, Any]) -> float:
    """Return the orders of magnitude between the classical bound and the smaller of quantd's bounds."""
    return float(np.log10(row["classical_max"] / min(row["interval"], row["operator_norm"])))


def plot(path: Path) -> None:
    """Write the plot of the study beside its CSV file: the figures of each network at 8 bits."""
    rows = [row for row in Table(path, KEYS).rows() if row["bits"] == 8 and row["equalization"] == "none"]
    groups = {TITLES[name]: np.array([float(row[name]) for row in rows]) for name in FIGURES}
    names = [f"{NETWORKS[str(row['network'])]} ({row['layers']} layers)" for row in rows]
    bars(path.with_suffix(".svg"), names, groups, "largest error of an output", log=True)


TITLES = {
    "observed": "observed", "searched": "search", "interval": "intervals", "operator_norm": "2-norms",
    "classical_mean": "classical, mean norm", "classical_max": "classical, largest norm",
}  # fmt: skip
INTRODUCTION = """# Bounds of the output error

What a job guarantees about the largest error of an output ([Error bounds](../methods.md#error-bounds)), beside what
happens. Weights alone are quantized, with MinMax bounds and a scale for each channel. `observed` is the largest error
of any output value on the calibration images; `search` moves the worst image within the ranges of these images. The
bounds by intervals and by 2-norms hold within the same ranges. The classical bounds multiply the infinity norms of the
layers as if they were a chain, once with the mean norm and once with the largest. `gained` is the number of orders of
magnitude between the larger classical bound and the smaller of the first two. Measured on: {environment}.

![largest errors and bounds](bounds.svg)"""
