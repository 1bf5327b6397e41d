"""The float and the quantized model as one graph on the same inputs, compared at every layer while they run.

At each layer the difference of the channel means is fed back before the quantized side goes on: what is measured
further down is then free of the shifts that bias correction will remove. The outputs are reductions alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.compose import add_prefix_graph

from quant.dataset import Dataset
from quant.errors import ExportError
from quant.graph.inventory import Layer
from quant.metrics import sqnr_db
from quant.runtime import Session

_SIDE = "quantized/"
_COUNT = "twin_count"


@dataclass(frozen=True)
class LayerDifference:
    """Quantized less float at one layer's output over the whole set, in the output's unit.

    `shift` (C,) is the mean difference of each channel with the layers before it corrected, `left` (C,) what of it
    is left with the correction as it was fed back; the energies are sums over all samples and positions.
    """

    shift: NDArray[np.float64]
    left: NDArray[np.float64]
    signal: float
    noise: float
    quantized: float

    @property
    def sqnr_db(self) -> float:
        return sqnr_db(self.signal, self.noise)

    @property
    def cosine(self) -> float | None:
        """(|x|^2 + |y|^2 - |x - y|^2) / 2 |x| |y|; None where a side is zero, or too large for float32's sums."""
        size = float(np.sqrt(self.signal * self.quantized))
        finite = np.isfinite([size, self.noise]).all()
        return (self.signal + self.quantized - self.noise) / (2 * size) if finite and size > 0 else None


def channel_axis(layer: Layer) -> int | None:
    """The axis of the layer's output that a bias lies along; None where there is no such axis."""
    if layer.op in ("Conv", "ConvTranspose"):
        return 1
    if layer.op not in ("Gemm", "MatMul"):
        return None
    return -1 if layer.weight_index == 1 and len(layer.shape) == 2 else None


def compare_layers(
    float_model: onnx.ModelProto,
    quantized_model: onnx.ModelProto,
    layers: Sequence[Layer],
    dataset: Dataset,
    progress: Callable[[int, int], None],
    *,
    feed_back: bool,
) -> dict[str, LayerDifference]:
    """The difference at each layer by name, from one run over the set; with `feed_back` each layer's running mean
    difference is taken off before the next layer sees it (Finkelstein et al., 2019, without a run per layer).

    Requires: both models have the layers under the same node names. Layers without a channel axis are left out.

    Raises:
        ExportError: the models do not run as one.
    """
    layers = [layer for layer in layers if channel_axis(layer) is not None]
    if not layers:
        return {}
    twin = Session(build_twin(float_model, quantized_model, layers), "the twin graph", ExportError, fold_weights=True)
    channels = {layer.name: output_channels(layer) for layer in layers}
    shift = {name: np.zeros(size) for name, size in channels.items()}
    left, energy = {name: np.zeros(size) for name, size in channels.items()}, dict.fromkeys(channels, np.zeros(3))
    done = 0
    for number, feeds in enumerate(dataset.batches(), 1):
        count = np.float32(number if feed_back else np.inf)
        sums = {_sum_input(name): shift[name].astype(np.float32) for name in channels}
        found = iter(twin.run({**feeds, **sums, _COUNT: np.asarray(count)}))
        for name in channels:
            mean, (signal, noise, quantized, size) = (np.asarray(next(found), np.float64) for _ in range(2))
            shift[name] = shift[name] + mean
            fed = shift[name] / count
            left[name] = left[name] + mean - fed
            # sum (d - f)^2 over a channel of n values is sum d^2 - 2 n f mean(d) + n f^2
            noise = noise - size / mean.size * float((2 * fed * mean - fed**2).sum())
            energy[name] = energy[name] + (signal, noise, quantized)
        done = min(done + dataset.batch, dataset.used)
        progress(done, dataset.used)
    return {
        name: LayerDifference(-shift[name] / number, -left[name] / number, *map(float, energy[name]))
        for name in channels
    }


def build_twin(float_model: onnx.ModelProto, quantized_model: onnx.ModelProto, layers: Sequence[Layer]) -> bytes:
    """One model with the inputs of both, a sum (C,) a layer and the count of batches; two outputs a layer.

    The first is the mean of float - quantized (C,), the second the energies of the float output, of the difference
    and of the quantized output after the feedback, and the number of their values.
    """
    merged = onnx.ModelProto()
    merged.CopyFrom(float_model)
    graph = merged.graph
    side = onnx.GraphProto()
    side.CopyFrom(quantized_model.graph)
    taken = {tensor.name: _SIDE + tensor.name for tensor in side.initializer}
    side = add_prefix_graph(side, _SIDE, rename_inputs=False, inplace=True, name_map=taken)
    outputs = {node.name.removeprefix(_SIDE): node.output[0] for node in side.node}
    reference = {node.name: node.output[0] for node in graph.node}
    del graph.output[:], graph.value_info[:]
    graph.input.append(helper.make_tensor_value_info(_COUNT, TensorProto.FLOAT, []))
    graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.int64), "twin_first"))
    corrected: dict[str, str] = {}
    compared: dict[str, list[onnx.NodeProto]] = {}
    for layer in layers:
        name, output = layer.name, outputs[layer.name]
        compared[output] = _comparison(graph, layer, reference[name], output)
        corrected[output] = f"{name}/corrected"
    graph.node.extend(_with_feedback(side, compared, corrected))
    graph.initializer.extend(side.initializer)
    merged.ir_version = max(float_model.ir_version, quantized_model.ir_version)
    domains = {entry.domain: entry.version for entry in (*float_model.opset_import, *quantized_model.opset_import)}
    del merged.opset_import[:]
    merged.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in domains.items())
    return bytes(merged.SerializeToString())


def _with_feedback(
    side: onnx.GraphProto, compared: Mapping[str, list[onnx.NodeProto]], corrected: Mapping[str, str]
) -> list[onnx.NodeProto]:
    """The quantized side's nodes, reading the corrected outputs, with each comparison behind its layer."""
    nodes = []
    for node in side.node:
        for index, name in enumerate(node.input):
            node.input[index] = corrected.get(name, name)
        nodes.append(node)
        nodes += [more for output in node.output for more in compared.get(output, ())]
    return nodes


def _comparison(graph: onnx.GraphProto, layer: Layer, expected: str, actual: str) -> list[onnx.NodeProto]:
    """The nodes that compare one layer's outputs; their constants, inputs and outputs are added to the graph."""
    name, channels = layer.name, output_channels(layer)
    spatial = layer.op in ("Conv", "ConvTranspose")
    shape = [1, channels, *[1] * (len(layer.shape) - 2)] if spatial else [channels]
    axes = [0, *range(2, len(layer.shape))] if spatial else [0]
    constants = {"axes": np.array(axes), "shape": np.array(shape), "rows": np.array([-1, channels])}
    for key, value in constants.items():
        graph.initializer.append(numpy_helper.from_array(value.astype(np.int64), f"{name}/{key}"))
    graph.input.append(helper.make_tensor_value_info(_sum_input(name), TensorProto.FLOAT, [channels]))
    outputs = {f"{name}/mean": [channels], f"{name}/energies": [4]}
    graph.output.extend(helper.make_tensor_value_info(key, TensorProto.FLOAT, size) for key, size in outputs.items())

    def node(op: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
        return helper.make_node(op, inputs, [f"{name}/{output}"], f"{name}/{output}", **attributes)

    reductions = ("signal", "noise", "energy", "values")
    rows = f"{name}/difference"
    nodes = [node("Sub", [expected, actual], "difference")]
    if not spatial:
        rows = f"{name}/difference_rows"
        nodes.append(node("Reshape", [f"{name}/difference", f"{name}/rows"], "difference_rows"))
    return [
        *nodes,
        node("ReduceMean", [rows, f"{name}/axes"], "mean", keepdims=0),
        node("Add", [f"{name}/mean", _sum_input(name)], "total"),
        node("Div", [f"{name}/total", _COUNT], "feedback"),
        node("Reshape", [f"{name}/feedback", f"{name}/shape"], "feedback_shaped"),
        node("Add", [actual, f"{name}/feedback_shaped"], "corrected"),
        node("ReduceSumSquare", [expected], "signal", keepdims=0),
        node("ReduceSumSquare", [f"{name}/difference"], "noise", keepdims=0),
        node("ReduceSumSquare", [f"{name}/corrected"], "energy", keepdims=0),
        node("Size", [f"{name}/difference"], "size"),
        node("Cast", [f"{name}/size"], "values", to=TensorProto.FLOAT),
        *(node("Unsqueeze", [f"{name}/{key}", "twin_first"], f"{key}_1") for key in reductions),
        node("Concat", [f"{name}/{key}_1" for key in reductions], "energies", axis=0),
    ]


def output_channels(layer: Layer) -> int:
    """How many channels the layer's output has along its channel axis."""
    groups = layer.node.attributes.get_int("group", 1) if layer.op == "ConvTranspose" else 1
    return int(layer.shape[layer.axis] * groups)


def _sum_input(name: str) -> str:
    return f"{name}/sum"
