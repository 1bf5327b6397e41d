"""Other quantizers, to compare with: ONNX Runtime's own, and NNCF if it is installed."""

import contextlib
import importlib.util
import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime import quantization as ort_quantization
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantType
from onnxruntime.quantization.shape_inference import quant_pre_process

from quant.data.dataset import Dataset
from quant.data.read import read_dataset
from quant.errors import QuantdError
from quant.evaluation.compare import evaluate
from quant.evaluation.metrics import OutputComparison
from quant.graph.load.onnx_file import load
from quant.runtime import Session

SAMPLES = 32
"""Calibration images for other tools, whose percentile methods keep the activations of all images in memory."""
METHODS = {"ONNX Runtime MinMax": CalibrationMethod.MinMax, "ONNX Runtime Percentile": CalibrationMethod.Percentile}
NNCF = "NNCF"

logging.getLogger().setLevel(logging.ERROR)  # the tools log warnings at every model


def installed(bits: int) -> list[str]:
    """Return the tools that can quantize to `bits`; NNCF quantizes convolutions to 8 bits only."""
    return [*METHODS, *([NNCF] if bits == 8 and importlib.util.find_spec("nncf") else [])]


def measure(tool: str, model: Path, calibration: Path, evaluation: Path, folder: Path, bits: int) -> dict[str, Any]:
    """Quantize a model with a tool, weights per channel; return its figures, or `refused` with the reason."""
    source = load(model.read_bytes())
    quantized_path = folder / "peer.onnx"
    samples = read_dataset(calibration, source).singly().spread(SAMPLES)
    try:
        if tool == NNCF:
            _nncf(model, quantized_path, samples)
        else:
            _onnxruntime(model, quantized_path, samples, METHODS[tool], bits, folder)
        test = read_dataset(evaluation, source)
        comparison = _compared(model, quantized_path, test)
    except (QuantdError, ValueError, RuntimeError, KeyError) as error:
        return {"refused": f"fails: {type(error).__name__}"}
    sizes = {"size_ratio": quantized_path.stat().st_size / model.stat().st_size}
    return {**comparison.figures().model_dump(), **comparison.details(None)["top1_difference"], **sizes}


def _compared(model: Path, quantized_path: Path, test: Dataset) -> OutputComparison:
    reference = Session(model)
    return evaluate((reference.run(feeds) for feeds in test.batches()), Session(quantized_path), test, lambda *_: None)


class _Reader(CalibrationDataReader):
    def __init__(self, samples: Dataset) -> None:
        self._batches: Iterator[dict[str, np.ndarray]] = samples.batches()

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._batches, None)


def _onnxruntime(
    model: Path, quantized_path: Path, samples: Dataset, method: CalibrationMethod, bits: int, folder: Path
) -> None:
    prepared = folder / "prepared.onnx"
    converted = onnx.version_converter.convert_version(onnx.load(model), 21)
    onnx.save(converted, prepared)
    with contextlib.redirect_stdout(io.StringIO()):
        quant_pre_process(str(prepared), str(prepared), skip_symbolic_shape=True)
        ort_quantization.quantize_static(
            str(prepared),
            str(quantized_path),
            _Reader(samples),
            per_channel=True,
            weight_type=QuantType.QInt8 if bits == 8 else QuantType.QInt4,
            activation_type=QuantType.QUInt8,
            calibrate_method=method,
        )


def _nncf(model: Path, quantized_path: Path, samples: Dataset) -> None:
    import nncf

    quantized = nncf.quantize(onnx.load(model), nncf.Dataset(list(samples.batches())), subset_size=SAMPLES)
    onnx.save(quantized, quantized_path)
