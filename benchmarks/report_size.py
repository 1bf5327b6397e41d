"""The sizes of the reports of two networks: ResNet20 on CIFAR-10, and one with the shapes of ResNet50.

    python -m benchmarks.report_size [--data ../shared/data] [--presets int8 int4]

Every job has calibration and evaluation data, so that the reports hold everything that can be measured. ResNet50 has
random weights (25.5 million in 54 layers) and random images of 64 x 64.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from quant.pipeline import Inputs, quantize_model

ARTIFACTS = ("report.html", "report.json")
STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
"""Channels and blocks of each stage of ResNet50."""
CIFAR = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--presets", nargs="*", default=["int8", "int4"])
    arguments = parser.parse_args()
    print("| network | preset | " + " | ".join(f"{name}, kB" for name in ARTIFACTS) + " |")
    print("| --- | --- |" + " --- |" * len(ARTIFACTS))
    with tempfile.TemporaryDirectory() as folder:
        for name, inputs in networks(arguments.data, Path(folder)):
            for preset in arguments.presets:
                quantize_model(
                    Inputs(inputs[0], inputs[0].name, {"preset": preset}, *inputs[1:]), Path(folder), lambda *_: None
                )
                sizes = [f"{(Path(folder) / artifact).stat().st_size / 1000:,.0f}" for artifact in ARTIFACTS]
                print(f"| {name} | {preset} | {' | '.join(sizes)} |", flush=True)


def networks(data: Path, folder: Path) -> Iterator[tuple[str, tuple[Path, Path, Path]]]:
    """Yield each network's name, and the paths of its model, calibration and evaluation data."""
    calibration, evaluation = folder / "calibration.npz", folder / "evaluation.npz"
    images = np.load(data / "datasets" / "cifar10_calibration.npz")["images"]
    test = np.load(data / "datasets" / "cifar10_test.npz")
    np.savez(calibration, images=images[:512], **CIFAR)
    np.savez(evaluation, images=test["images"][:1000], labels=test["labels"][:1000], **CIFAR)
    yield "ResNet20, 20 layers", (data / "models" / "resnet20_cifar10.onnx", calibration, evaluation)
    rng = np.random.default_rng(0)
    onnx.save(resnet50(rng), folder / "resnet50.onnx")
    np.savez(calibration, input=rng.normal(size=(16, 3, 64, 64)).astype(np.float32))
    np.savez(evaluation, input=rng.normal(size=(16, 3, 64, 64)).astype(np.float32))
    yield "ResNet50-shaped, 54 layers", (folder / "resnet50.onnx", calibration, evaluation)


def resnet50(rng: np.random.Generator, width: int = 64) -> onnx.ModelProto:
    """Return a network with the layers of ResNet50, BatchNorm folded, and random weights.

    `width` is the number of channels of the first layer; at 64 the shapes are those of ResNet50 (25.5 million weights).
    """
    nodes: list[onnx.NodeProto] = []
    weights: dict[str, NDArray[np.float32]] = {}

    def conv(x: str, name: str, c_in: int, c_out: int, kernel: int, stride: int, relu: bool = True) -> str:
        spread = (2 / (c_in * kernel**2)) ** 0.5
        weights[f"{name}.w"] = (rng.normal(size=(c_out, c_in, kernel, kernel)) * spread).astype(np.float32)
        weights[f"{name}.b"] = (rng.normal(size=c_out) * 0.1).astype(np.float32)
        sizes = {"strides": [stride] * 2, "pads": [kernel // 2] * 4}
        nodes.append(helper.make_node("Conv", [x, f"{name}.w", f"{name}.b"], [f"{name}.out"], name=name, **sizes))
        if relu:
            nodes.append(helper.make_node("Relu", [f"{name}.out"], [f"{name}.relu"]))
        return f"{name}.relu" if relu else f"{name}.out"

    x, c_in = conv("input", "conv1", 3, width, 7, 2), width
    nodes.append(helper.make_node("MaxPool", [x], ["pooled"], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4))
    x = "pooled"
    for stage, (channels, blocks) in enumerate(STAGES, 1):
        inner, c_out = channels * width // 64, 4 * channels * width // 64
        for block in range(blocks):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and not block else 1
            y = conv(conv(x, f"{name}/conv1", c_in, inner, 1, 1), f"{name}/conv2", inner, inner, 3, stride)
            y = conv(y, f"{name}/conv3", inner, c_out, 1, 1, relu=False)
            short = x if block else conv(x, f"{name}/downsample", c_in, c_out, 1, stride, relu=False)
            nodes.append(helper.make_node("Add", [y, short], [f"{name}.sum"]))
            nodes.append(helper.make_node("Relu", [f"{name}.sum"], [f"{name}.end"]))
            x, c_in = f"{name}.end", c_out
    nodes.append(helper.make_node("GlobalAveragePool", [x], ["mean"]))
    nodes.append(helper.make_node("Flatten", ["mean"], ["flat"]))
    weights["fc.w"] = (rng.normal(size=(1000, c_in)) * c_in**-0.5).astype(np.float32)
    weights["fc.b"] = np.zeros(1000, np.float32)
    nodes.append(helper.make_node("Gemm", ["flat", "fc.w", "fc.b"], ["logits"], name="fc", transB=1))
    graph = helper.make_graph(
        nodes, "resnet50",
        [helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, ["N", 3, "height", "width"])],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["N", 1000])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


if __name__ == "__main__":
    main()
