"""What each step of the quantizer gains on real networks: top-1 and output SQNR on data that it never saw.

    python benchmarks/accuracy.py [--models resnet20_cifar10,...] [--settings w4a8,...] [--samples 1000] [--json FILE]

Reads the models and data of ../shared/data (or QUANTD_DATA). CIFAR nets are calibrated on 512 training images, VWW and
ImageNet on the first 200 of their images (a fixed permutation of the latter), MNIST on 512 training images; evaluated
on up to `--samples` of the others.
"""

import argparse
import csv
import io
import json
import os
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from quant.pipeline import Inputs, quantize_model

DATA = Path(os.environ.get("QUANTD_DATA", Path(__file__).parents[2] / "shared" / "data"))
CIFAR = {"mean": np.array([0.485, 0.456, 0.406]), "std": np.array([0.229, 0.224, 0.225])}
MODELS = ("resnet20_cifar10", "resnet20_cifar10_jpeg", "resnet56_cifar10", "vww_mobilenetv1_025",
          "mobilenetv1_075_imagenet", "vit_mnist")  # fmt: skip
MINMAX = {"weights": {"clipping": "minmax"}, "bias_correction": "none"}
STEPS: dict[str, dict[str, Any]] = {
    "minmax": MINMAX,
    "+ auto bounds": {"bias_correction": "none"},
    "+ error feedback": {"weights": {"rounding": "error_feedback"}, "bias_correction": "none"},
    "+ bias correction": {"weights": {"rounding": "error_feedback"}, "bias_correction": "calibrated"},
    "auto": {"weights": {"rounding": "error_feedback"}},
    "auto, equalized": {"weights": {"rounding": "error_feedback"}, "equalization": "cross_layer"},
}
SETTINGS: dict[str, dict[str, Any]] = {
    "w8a8": {"preset": "int8"},
    "w4a8": {"preset": "int4"},
    "w4": {"preset": "int4-weights"},
    "w3a8": {"preset": "codebook4", "weights": {"bits": 3}},
}
Arrays = dict[str, NDArray[Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--settings", default="w8a8,w4a8,w4")
    parser.add_argument("--steps", default=",".join(STEPS))
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    print(f"{'model':26}{'setting':8}{'step':20}{'float':>8}{'top-1':>8}{'SQNR dB':>9}{'size':>7}{'s':>7}")
    for name in options.models.split(","):
        for row in measure(name, options.settings.split(","), options.steps.split(","), options.samples):
            rows.append(row)
            print(
                f"{name:26}{row['setting']:8}{row['step']:20}{row['top1_float']:8.2f}{row['top1']:8.2f}"
                f"{row['output_sqnr_db']:9.2f}{row['size_ratio']:7.3f}{row['seconds']:7.1f}  {row['kept']}",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


def measure(name: str, settings: list[str], steps: list[str], samples: int) -> Iterator[dict[str, Any]]:
    """One row a setting and step: top-1 in percent, output SQNR in dB, size as a fraction of the float model's."""
    with tempfile.TemporaryDirectory() as folder:
        calibration, evaluation = Path(folder, "calibration.npz"), Path(folder, "evaluation.npz")
        for path, arrays in zip((calibration, evaluation), split(name, samples), strict=True):
            np.savez(path, **arrays)
        for setting in settings:
            for step in steps:
                spec = merged(SETTINGS[setting], STEPS[step])
                begun = time.perf_counter()
                inputs = Inputs(DATA / "models" / f"{name}.onnx", name, spec, calibration, evaluation)
                summary = quantize_model(inputs, Path(folder), lambda *_: None).summary
                compared = json.loads(Path(folder, "report.json").read_text())["compared"]
                yield {
                    "model": name,
                    "setting": setting,
                    "step": step,
                    "top1_float": summary["top1_float"],
                    "top1": summary["top1_quantized"],
                    "output_sqnr_db": summary["output_sqnr_db"],
                    "size_ratio": summary["size_ratio"],
                    "seconds": time.perf_counter() - begun,
                    "kept": compared["kept"],
                }


def merged(setting: dict[str, Any], step: dict[str, Any]) -> dict[str, Any]:
    return {**setting, **step, "weights": {**setting.get("weights", {}), **step.get("weights", {})}}


def split(name: str, samples: int) -> tuple[Arrays, Arrays]:
    """Calibration images and evaluation images with labels, as quantd reads them."""
    if "cifar" in name:
        calibration, evaluation = load("cifar10_calibration"), load("cifar10_test")
        return part(calibration, slice(512), CIFAR), part(evaluation, slice(samples), CIFAR)
    if "mnist" in name:
        scale = {"mean": np.array([0.1307]), "std": np.array([0.3081])}
        return part(load("mnist_train"), slice(512), scale), part(load("mnist_test"), slice(samples), scale)
    arrays = load("vww_test") if "vww" in name else imagenet()
    scale = {} if "vww" in name else {"mean": np.array([0.5]), "std": np.array([0.5])}
    return part(arrays, slice(200), scale), part(arrays, slice(200, 200 + samples), scale)


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


if __name__ == "__main__":
    main()
