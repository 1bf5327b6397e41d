"""Other quantizers, to compare with: those of ONNX Runtime, and NNCF, AIMET and Quark in their own environments.

    python -m benchmarks.peers NAME MODEL SAMPLES OUT KIND

quantizes one model in this process and prints seconds and peak memory. SAMPLES is a file of `write_samples`.
"""

import contextlib
import io
import logging
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.onnx_model import ONNXModel
from onnxruntime.quantization.shape_inference import quant_pre_process

from benchmarks import child

NNCF = "nncf==3.4.0"
AIMET = "aimet-onnx==2.42.0"
QUARK = "amd-quark==0.13"
CONSTRAINED = ("--constraint", "constraints.txt")
CPU_TORCH = "torch==2.13.0"
ENVIRONMENTS = {
    NNCF: (*CONSTRAINED, "onnx", "onnxruntime"),
    AIMET: ("onnx==1.23.2", "onnxruntime==1.27.0", CPU_TORCH),
    QUARK: ("onnx==1.22.0", "onnxruntime==1.28.0", CPU_TORCH),
}
"""The packages beside each tool that needs other versions of some packages than quantd."""
SEARCH_SAMPLES, SEARCH_STEPS = 32, 500
"""The samples for AIMET's searches of scales and rounding, and the steps for each layer, so that they end in minutes.

AIMET recommends 15,000 steps for 4 bits.
"""
BATCH = 8
"""The samples of a batch for AIMET."""
LEAST_OPSET = {8: 13, 4: 21}
"""The first opset with weights per channel at 8 bits, and with 4-bit types."""
Feeds = dict[str, NDArray[Any]]

logging.getLogger().setLevel(logging.ERROR)  # the tools log warnings at every model


@dataclass(frozen=True)
class Job:
    """One model to quantize.

    Attributes:
        model: the float model.
        samples: the feeds of single samples that calibrate.
        out: the file to write.
        kind: the kind of network, such as `transformer`.
        bits: the bits of the weights.
    """

    model: Path
    samples: list[Feeds]
    out: Path
    kind: str = ""
    bits: int = 8


@dataclass(frozen=True)
class Peer:
    """Another quantizer.

    Attributes:
        quantize: writes the quantized model of a job.
        weight_bits: the bits of its weights.
        package: the pinned package with an environment of its own; None for those that quantd's environment has.
    """

    quantize: Callable[[Job], None]
    weight_bits: int = 8
    package: str | None = None


class _Reader(CalibrationDataReader):
    def __init__(self, samples: Iterable[Feeds]) -> None:
        self._samples = iter(samples)

    def get_next(self) -> Feeds | None:
        return next(self._samples, None)


def static(method: CalibrationMethod) -> Callable[[Job], None]:
    """Return ONNX Runtime's `quantize_static` with a calibration method, in QDQ format."""

    def run(job: Job) -> None:
        def quantize(model: str, per_channel: bool) -> None:
            quantize_static(
                model,
                str(job.out),
                _Reader(job.samples),
                per_channel=per_channel,
                weight_type=QuantType.QInt8 if job.bits == 8 else QuantType.QInt4,
                activation_type=QuantType.QUInt8,
                calibrate_method=method,
            )

        _run_first(job, quantize)

    return run


def dynamic(job: Job) -> None:
    """Quantize by ONNX Runtime's `quantize_dynamic`, weights per tensor, which is its default."""
    _run_first(job, lambda model, _: quantize_dynamic(model, str(job.out)))


def dynamic_per_channel(job: Job) -> None:
    """Quantize by ONNX Runtime's `quantize_dynamic`, weights per channel."""
    _run_first(job, lambda model, per_channel: quantize_dynamic(model, str(job.out), per_channel=per_channel))


def matmul_nbits(job: Job) -> None:
    """Quantize the weights of MatMul to 4 bits in blocks of 32 with zero points.

    Gemm is written as MatMul and Add before, as ONNX Runtime's other quantizers do.
    """
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer  # not in NNCF's environment

    model = ONNXModel(onnx.load(job.model))
    model.replace_gemm_with_matmul()
    quantizer = MatMulNBitsQuantizer(model.model, bits=4, block_size=32, is_symmetric=False)
    quantizer.process()
    quantizer.model.save_model_to_file(str(job.out))


def nncf(job: Job) -> None:
    """Quantize by NNCF; transformers with SmoothQuant, as NNCF does for this type of model."""
    import nncf

    def quantize(model: str, _: bool) -> None:
        quantized = nncf.quantize(
            onnx.load(model),
            nncf.Dataset(job.samples),
            subset_size=len(job.samples),
            model_type=nncf.ModelType.TRANSFORMER if job.kind == "transformer" else None,
        )
        onnx.save(quantized, job.out)

    _run_first(job, quantize)


def aimet(job: Job) -> None:
    """Quantize by AIMET, weights per channel; those of 4 bits with SeqMSE and AdaRound."""
    import aimet_onnx
    from aimet_onnx.batch_norm_fold import fold_all_batch_norms_to_weight

    with tempfile.TemporaryDirectory() as folder:
        model = onnx.load(_source(job, Path(folder), prepared=True))
    fold_all_batch_norms_to_weight(model)
    size = BATCH if model.graph.input[0].type.tensor_type.shape.dim[0].dim_param else 1
    simulation = aimet_onnx.QuantizationSimModel(model, param_type=f"int{job.bits}", activation_type="int8")
    if job.bits < 8:
        searched = batches(job.samples[:: max(1, len(job.samples) // SEARCH_SAMPLES)][:SEARCH_SAMPLES], size)
        aimet_onnx.apply_seq_mse(simulation, searched)
        aimet_onnx.apply_adaround(simulation, searched, SEARCH_STEPS)
    simulation.compute_encodings(batches(job.samples, size))
    onnx.save(simulation.to_onnx_qdq(prequantize_constants=True), job.out)


def quark(job: Job) -> None:
    """Quantize by Quark as in its configuration A8W8, but weights per channel and activations with zero points."""
    from quark.onnx import ModelQuantizer
    from quark.onnx.quantization.config import spec
    from quark.onnx.quantization.config.config import QConfig

    weight = spec.Int8Spec(quant_granularity=spec.QuantGranularity.Channel)
    layers = spec.QLayerConfig(activation=spec.UInt8Spec(), weight=weight)
    options = {"AlignSlice": False, "FoldRelu": True, "AlignConcat": True}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # it writes a table to the current folder
        ModelQuantizer(QConfig(layers, **options)).quantize_model(str(job.model), str(job.out), _Reader(job.samples))


def batches(samples: list[Feeds], size: int) -> list[Feeds]:
    """Return batches of samples, stacked along the first axis."""
    parts = [samples[start : start + size] for start in range(0, len(samples), size)]
    return [{name: np.concatenate([each[name] for each in part]) for name in part[0]} for part in parts]


PEERS: Mapping[str, Peer] = {
    "quantize_static MinMax": Peer(static(CalibrationMethod.MinMax)),
    "quantize_static Entropy": Peer(static(CalibrationMethod.Entropy)),
    "quantize_static Percentile": Peer(static(CalibrationMethod.Percentile)),
    "quantize_dynamic": Peer(dynamic),
    "quantize_dynamic per channel": Peer(dynamic_per_channel),
    "NNCF": Peer(nncf, package=NNCF),
    "AIMET": Peer(aimet, package=AIMET),
    "Quark": Peer(quark, package=QUARK),
    "MatMulNBits": Peer(matmul_nbits, weight_bits=4),
    "quantize_static MinMax, 4 bits": Peer(static(CalibrationMethod.MinMax), weight_bits=4),
    "AIMET, 4 bits": Peer(aimet, weight_bits=4, package=AIMET),
}


def write_samples(path: Path, samples: Iterable[Feeds]) -> None:
    """Write the feeds of single samples to one file."""
    np.savez(
        path, **{f"{number}/{name}": array for number, feeds in enumerate(samples) for name, array in feeds.items()}
    )


def read_samples(path: Path) -> list[Feeds]:
    """Return the feeds of a file of `write_samples`."""
    samples: dict[int, Feeds] = {}
    with np.load(path) as stored:
        for key in stored.files:
            number, name = key.split("/", 1)
            samples.setdefault(int(number), {})[name] = stored[key]
    return [samples[number] for number in sorted(samples)]


def python_of(name: str) -> Path:
    """Return the interpreter for a peer; make the environment of its package where it does not exist.

    Raises:
        subprocess.CalledProcessError: the peer cannot be installed.
    """
    package = PEERS[name].package
    if package is None:
        return Path(sys.executable)
    folder = child.ROOT / "build" / package.split("==")[0]
    python, installed = folder / "bin" / "python", folder / package
    if not installed.exists():
        venv.create(folder, with_pip=True)
        command = [str(python), "-m", "pip", "install", "--quiet", package, *ENVIRONMENTS[package]]
        subprocess.run(command, check=True, cwd=child.ROOT, capture_output=True, text=True)
        installed.touch()
    return python


def _run_first(job: Job, quantize: Callable[[str, bool], None]) -> None:
    """Call `quantize` with a model and True for weights per channel, with the first setting that does not fail.

    Settings are as ONNX Runtime recommends, pre-processed and per channel, then without one of the two, then without
    both.
    """
    failures = []
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        for per_channel in (True, False):
            for prepared in (True, False):
                try:
                    return quantize(_source(job, Path(folder), prepared=prepared), per_channel)
                except Exception as error:  # noqa: BLE001 - a defect of the tool is a result
                    failures.append(error)
    raise failures[0]


def _source(job: Job, folder: Path, *, prepared: bool) -> str:
    """Return the path of the model with the opset that its types need; `prepared` if ONNX Runtime pre-processes it."""
    proto = onnx.load(job.model)
    opset = next(entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx"))
    if opset < LEAST_OPSET[job.bits]:
        proto = onnx.version_converter.convert_version(proto, LEAST_OPSET[job.bits])
    path = str(folder / "prepared.onnx")
    onnx.save(proto, path)
    if prepared:
        quant_pre_process(path, path, skip_symbolic_shape=True)
    return path


def main() -> None:
    name, model, samples, out, kind = sys.argv[1:]
    peer = PEERS[name]
    job = Job(Path(model), read_samples(Path(samples)), Path(out), kind, peer.weight_bits)
    child.answer(child.measured(lambda: peer.quantize(job)))


if __name__ == "__main__":
    main()
