"""The networks that the benchmarks measure, and their calibration and evaluation samples.

Networks with samples beside their file (`NAME_calibration.npz` and `NAME_evaluation.npz`) use these. Networks of the
data folder with labelled images use images. All others get random values, which tell how a network runs, but not how
good it is.
"""

import csv
import io
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from PIL import Image

DATA = Path(os.environ.get("QUANTD_DATA", Path(__file__).parents[2] / "shared" / "data"))
ROLES = ("calibration", "evaluation")
Arrays = dict[str, NDArray[Any]]

CIFAR = {"mean": np.array([0.485, 0.456, 0.406]), "std": np.array([0.229, 0.224, 0.225])}
RAW = {"mean": np.array([0.0]), "std": np.array([1 / 255])}
LABELLED = ("resnet20_cifar10", "resnet20_cifar10_jpeg", "resnet56_cifar10", "resnet8_mlperftiny",
            "vww_mobilenetv1_025", "mobilenetv1_075_imagenet", "vit_mnist", "mnist_opset8")  # fmt: skip
"""The networks of the folder `models` for whose images there are labels."""

RANDOM = {"calibration": 32, "evaluation": 16}
"""The number of samples of each role where they are random, or images without labels."""
IMAGES = {
    "cifar": ("cifar10_calibration", [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    "resnet8": ("cifar10_calibration", [0.0], [1 / 255]),
    "vww": ("vww_test", [0.0], [1.0]),
    "vit_mnist": ("mnist_train", [0.1307], [0.3081]),
    "mnist_opset8": ("mnist_train", [0.0], [1 / 255]),
}
"""For models with images: the file of the images, their mean and their std."""
SIZES = {
    "ppocrv3_det": {"height": 160, "width": 160}, "yunet_n_dynamic": {"height": 160, "width": 160},
    "oww_melspectrogram": {"samples": 17920}, "stories260K": {"L": 32},
    "silero_vad": {"sequence": 512}, "silero_vad_half": {"sequence": 512},
}  # fmt: skip
"""The sizes of dynamic axes, by name; the first axis of an ordinary input counts samples."""
INTEGERS = {"bytes": 256, "ids": 512}
"""The upper limits of integer inputs, such as token numbers; `sr` is a sampling rate."""
MODULES = {
    "wtw_adaptation_module": {"input": ["N", 2100]},
    "anydrive_v3_lstm": {"x": ["N", "T", 2], "h": [2, "N", 8], "c": [2, "N", 8]},
    "unitree_g1_motion": {"x": ["N", 47]},
}
"""The input shapes of scripted modules, whose files do not contain them."""
TRACED = {"mobilenetv1_075_imagenet": {"x": ["N", 3, 224, 224]}}
"""The input shapes of traced modules without images, as in their files."""
AXES = {"N": 1, "T": 10}
"""The sizes of the modules' dynamic axes, for one sample."""
SUFFIXES = (".onnx", ".pt", ".jit")
LINEAR, CONVOLUTIONS, RECURRENT = ("MatMul", "Gemm"), ("Conv", "ConvTranspose"), ("LSTM", "GRU", "RNN")


@dataclass(frozen=True)
class Network:
    """One model file.

    Attributes:
        path: the file.
        real: True if its samples are real inputs.
    """

    path: Path
    real: bool

    @property
    def name(self) -> str:
        """The name of the file without its suffix."""
        return self.path.stem

    @property
    def kind(self) -> str:
        """The kind of network, by the operators that hold its weights; empty for TorchScript."""
        return kind_of(onnx.load(self.path).graph) if self.path.suffix == ".onnx" else ""

    def samples(self, folder: Path, calibration: int, evaluation: int) -> dict[str, Path]:
        """Return the files of the samples by role; where they are no files yet, they are written to `folder`.

        Args:
            folder: an existing folder.
            calibration: the largest number of calibration images.
            evaluation: the largest number of evaluation images.
        """
        beside = samples_beside(self.path)
        if beside or not self.real:
            return beside or dict(datasets(self.path, DATA, folder))
        files = {role: folder / f"{role}.npz" for role in ROLES}
        for role, arrays in zip(ROLES, split(self.name, calibration, evaluation), strict=True):
            np.savez(files[role], **arrays)
        return files


def networks(data: Path, folders: list[Path]) -> Iterator[Network]:
    """Yield the networks of the data folder, and those with samples in other folders.

    A traced module beside the ONNX file of the same network is left out.
    """
    for folder in (data / "modern", *folders):
        yield from (Network(path, True) for path in sorted(folder.glob("*.onnx")) if samples_beside(path))
    for folder in (data / "models", data / "coverage"):
        for path in sorted(folder.iterdir()):
            if path.suffix in SUFFIXES and not (path.suffix == ".pt" and path.with_suffix(".onnx").exists()):
                yield Network(path, path.suffix == ".onnx" and path.stem in LABELLED)


def kind_of(graph: onnx.GraphProto) -> str:
    """Return `recurrent`, `convolutional`, `transformer` or `linear`.

    A network with a recurrent layer is recurrent. Else the operators with most weights decide; a linear network with
    Softmax is a transformer.
    """
    operators = {node.op_type for node in graph.node}
    if operators & set(RECURRENT):
        return "recurrent"
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].HasField("t"):
            sizes[node.output[0]] = int(np.prod(node.attribute[0].t.dims))
    weights = dict.fromkeys((*LINEAR, *CONVOLUTIONS), 0)
    for node in graph.node:
        if node.op_type in weights:
            weights[node.op_type] += sum(sizes.get(name, 0) for name in node.input)
    if sum(weights[name] for name in CONVOLUTIONS) > sum(weights[name] for name in LINEAR):
        return "convolutional"
    return "transformer" if "Softmax" in operators else "linear"


def samples_beside(path: Path) -> dict[str, Path]:
    """Return the files of samples that lie beside a model, by role."""
    return {
        role: path.with_name(f"{path.stem}{mark}{role}.npz")
        for role in ROLES
        for mark in "_."
        if path.with_name(f"{path.stem}{mark}{role}.npz").exists()
    }


def split(name: str, calibration: int | None, evaluation: int) -> tuple[Arrays, Arrays]:
    """Return calibration images, and evaluation images with labels, as arrays of a dataset file.

    Args:
        name: a network of `LABELLED`.
        calibration: the number of calibration images; None for 256, or 200 where few images exist.
        evaluation: the largest number of evaluation images.
    """
    if "cifar" in name or "resnet8" in name:
        scale = RAW if "resnet8" in name else CIFAR
        sets = load("cifar10_calibration"), load("cifar10_test")
    elif "mnist" in name:
        scale = RAW if "opset8" in name else {"mean": np.array([0.1307]), "std": np.array([0.3081])}
        sets = load("mnist_train"), load("mnist_test")
    else:
        arrays = load("vww_test") if "vww" in name else imagenet()
        scale = {} if "vww" in name else {"mean": np.array([0.5]), "std": np.array([0.5])}
        first = calibration or 200
        return part(arrays, slice(first), scale), part(arrays, slice(200, 200 + evaluation), scale)
    return part(sets[0], slice(calibration or 256), scale), part(sets[1], slice(evaluation), scale)


def load(name: str) -> Arrays:
    with np.load(DATA / "datasets" / f"{name}.npz") as arrays:
        return {key: arrays[key] for key in ("images", "labels")}


def part(arrays: Arrays, window: slice, scale: Arrays) -> Arrays:
    return {**{key: array[window] for key, array in arrays.items()}, **scale}


def imagenet() -> Arrays:
    with zipfile.ZipFile(DATA / "datasets" / "imagenet_sample1000.zip") as archive:
        listing = next(name for name in archive.namelist() if name.endswith("labels.csv"))
        rows = list(csv.DictReader(io.TextIOWrapper(archive.open(listing))))
        names = {Path(name).name: name for name in archive.namelist()}
        order = np.random.default_rng(0).permutation(len(rows))
        files = [names[Path(rows[i]["file"]).name] for i in order]
        images = [np.asarray(Image.open(archive.open(file)).convert("RGB")) for file in files]
    return {"images": np.stack(images), "labels": np.array([int(rows[i]["label"]) for i in order])}


def datasets(path: Path, data: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield role and path of a calibration and an evaluation file with different samples, if the inputs are known."""
    images = next((value for part, value in IMAGES.items() if part in path.stem), None)
    start = 0
    for role, count in RANDOM.items():
        window, start = slice(start, start + count), start + count
        if images is not None:
            with np.load(data / "datasets" / f"{images[0]}.npz") as stored:
                arrays = {"images": stored["images"][window], "mean": np.array(images[1]), "std": np.array(images[2])}
        else:
            arrays = random_inputs(path, count, seed=window.start)
        if arrays:
            np.savez(folder / f"{role}.npz", **arrays)
            yield role, folder / f"{role}.npz"


def random_inputs(path: Path, count: int, seed: int) -> dict[str, NDArray[np.generic]]:
    """Return an array for every input; whole feeds if the first axis of some input does not count samples."""
    inputs = _inputs(path)
    feeds = any(not shape or shape[0] != 1 for shape, _ in inputs.values())
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, (sample, dtype) in inputs.items():
        shape = (count, *sample) if feeds else (count, *sample[1:])
        if name == "sr":
            arrays[name] = np.full(shape, 16000, dtype)
        elif np.issubdtype(dtype, np.integer):
            arrays[name] = rng.integers(0, INTEGERS.get(name, 2), shape).astype(dtype)
        else:
            arrays[name] = (rng.normal(size=shape) * 0.5).astype(dtype)
    return arrays


def completed(path: Path, spec: dict[str, Any], calibrated: bool) -> dict[str, Any]:
    """Return the spec with the inputs of a scripted module; weight-only if there is no calibration data."""
    spec = dict(spec)
    if path.suffix != ".onnx" and path.stem in MODULES:
        inputs = MODULES[path.stem].items()
        spec["torchscript"] = {"inputs": [{"name": name, "shape": shape, "dtype": "float32"} for name, shape in inputs]}
    if not calibrated and not str(spec["preset"]).endswith("-weights"):
        spec["activations"] = None
    return spec


def _inputs(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Return shape (for one sample) and type of each input; empty if a module's inputs are not known."""
    if path.suffix != ".onnx":
        known = {**MODULES, **TRACED}.get(path.stem, {})
        shapes = {
            name: [AXES[axis] if isinstance(axis, str) else axis for axis in axes] for name, axes in known.items()
        }
        return {name: (tuple(shape), np.dtype(np.float32)) for name, shape in shapes.items()}
    graph = onnx.load(path).graph
    constants = {tensor.name for tensor in graph.initializer}
    return {
        value.name: (
            _shape(path.stem, value),
            onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type),
        )
        for value in graph.input
        if value.name not in constants
    }


def _shape(stem: str, value: onnx.ValueInfoProto) -> tuple[int, ...]:
    """Return an input's shape for one sample; unnamed dynamic axes are named by their position."""
    dims = value.type.tensor_type.shape.dim
    names = {2: ("", "sequence"), 4: ("", "", "height", "width")}.get(len(dims), ("",) * len(dims))
    sizes = SIZES.get(stem, {})
    return tuple(
        dim.dim_value if dim.dim_value > 0 else sizes.get(dim.dim_param, sizes.get(name, 1))
        for dim, name in zip(dims, names, strict=True)
    )
