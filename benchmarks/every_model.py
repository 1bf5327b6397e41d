"""Coverage: every model in the data folder through the service at five presets; writes docs/coverage.md and JSON.

    python benchmarks/every_model.py [--data ../shared/data] [--out docs/coverage.md] [--only NAME ...]

Samples are random, except for models that have images. 32 samples calibrate and 16 others evaluate. The output SQNR
therefore measures the distance between the quantized and the float model, not the quality of either.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from client.api import Client
from client.errors import ClientError
from jobs.stack import Stack

PRESETS = ("int8-weights", "int8", "int4-weights", "codebook4", "ternary")
SAMPLES = {"calibration": 32, "evaluation": 16}
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


@dataclass
class Row:
    """The results of one model at every preset."""

    name: str
    results: dict[str, dict[str, Any]] = field(default_factory=dict)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("docs/coverage.md"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", nargs="*", default=[])
    arguments = parser.parse_args()
    files = [path for folder in ("models", "coverage") for path in sorted((arguments.data / folder).iterdir())]
    rows = []
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder, "state")) as stack, Client(stack.url) as client:
        for path in files:
            if not arguments.only or path.stem in arguments.only:
                rows.append(cover(client, path, arguments.data, Path(folder)))
                print(line(rows[-1]), flush=True)
    arguments.out.write_text(page(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps({row.name: row.results for row in rows}, indent=1))


def cover(client: Client, path: Path, data: Path, folder: Path) -> Row:
    """Run one model at every preset; weight-only if no samples can be generated for it."""
    row = Row(path.name)
    try:
        model = client.upload_model(path)["id"]
        sets = {role: client.upload_dataset(file)["id"] for role, file in datasets(path, data, folder)}
    except ClientError as error:
        row.results = {key: {"refused": str(error)} for key in PRESETS}
        return row
    for preset in PRESETS:
        spec: dict[str, Any] = {"preset": preset}
        if path.suffix != ".onnx" and path.stem in MODULES:
            inputs = MODULES[path.stem].items()
            spec["torchscript"] = {
                "inputs": [{"name": name, "shape": shape, "dtype": "float32"} for name, shape in inputs]
            }
        if not sets and preset in ("int8", "codebook4", "ternary"):
            spec["activations"] = None
        job = client.wait(client.submit(model, spec, sets.get("calibration"), sets.get("evaluation"))["id"])
        row.results[preset] = result(client, job)
    return row


def result(client: Client, job: dict[str, Any]) -> dict[str, Any]:
    if job["status"] != "succeeded":
        return {"refused": job["error"]["code"], "detail": job["error"]["detail"]}
    report = client.report(job["id"])
    summary = job["summary"]
    return {
        "layers": summary["quantized_layers"], "of": summary["layers"], "size_ratio": summary["size_ratio"],
        "weight_sqnr_db": summary["weight_sqnr_db"], "output_sqnr_db": summary["output_sqnr_db"],
        "top1_agreement": summary["top1_agreement"], "seconds": summary["seconds"], "warnings": report["warnings"],
    }  # fmt: skip


def datasets(path: Path, data: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield role and path of a calibration and an evaluation file with different samples, if the inputs are known."""
    images = next((value for part, value in IMAGES.items() if part in path.stem), None)
    start = 0
    for role, count in SAMPLES.items():
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


def line(row: Row) -> str:
    """Return the model's row of the table."""
    cells = []
    for preset in PRESETS:
        result = row.results[preset]
        if "refused" in result:
            cells.append(f"refused: `{result['refused']}`")
            continue
        sqnr = "" if result["output_sqnr_db"] is None else f", {result['output_sqnr_db']:.1f} dB"
        warned = " (!)" if result["warnings"] else ""
        cells.append(f"{result['layers']}/{result['of']}, {result['size_ratio']:.2f}{sqnr}{warned}")
    return f"| {row.name} | {' | '.join(cells)} |"


def page(rows: list[Row]) -> str:
    head = (
        "# Coverage\n\n"
        "Real models, quantized through the service at five presets by `benchmarks/every_model.py`. Each cell has:\n\n"
        "- the number of quantized layers, and of all layers with a weight;\n"
        "- the size of the quantized model as a fraction of the uploaded file's size;\n"
        "- the output SQNR on samples that did not calibrate, which are random except for models with images;\n"
        "- `(!)` if the report has warnings.\n\n"
    )
    table = [f"| model | {' | '.join(PRESETS)} |", f"| --- |{' --- |' * len(PRESETS)}", *map(line, rows)]
    details = sorted({
        f"- {row.name}: `{result['refused']}`: {result['detail']}"
        for row in rows for result in row.results.values() if "detail" in result
    })  # fmt: skip
    return head + "\n".join(table) + "\n" + ("\n## Refused\n\n" + "\n".join(details) + "\n" if details else "")


if __name__ == "__main__":
    main()
