"""Opening and normalising a model for a plan or an inspection, as a job does it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import onnx_ir as ir

from quant.calibration.batchnorm_moments import batchnorm_moments
from quant.calibration.channel_moments import ChannelMoments
from quant.graph.load.archive import archive_kind
from quant.graph.load.source import float_onnx, open_model
from quant.graph.load.torchscript_archive import is_torchscript
from quant.graph.normalise.normalise import OPSET, normalise
from quant.layerwise import max_whole_bytes
from quant.outcome.model_description import Container, ModelDescription
from quant.plan.description import describe
from quant.runtime import Session
from quant.spec import ModuleInput

_CONTAINERS: Mapping[str | None, Container] = {None: "onnx", "gzip": "gzip", "tar": "tar"}


@dataclass(frozen=True)
class OnnxFile:
    """The ONNX file of an upload, with its description."""

    path: Path
    description: ModelDescription


@dataclass(frozen=True)
class FloatGraph:
    """A normalised float model.

    Attributes:
        model: the model in normal form.
        normals: the moments that its BatchNormalization layers imply, by the tensor's name.
        bytes_before: the size of the uploaded model with its external data.
        whole: True if a job holds the model in memory as a whole; False if it works layer by layer.
    """

    model: ir.Model
    normals: Mapping[str, ChannelMoments]
    bytes_before: int
    whole: bool


def onnx_file(upload: Path, name: str, folder: Path, module_inputs: Sequence[ModuleInput] = ()) -> OnnxFile:
    """Return the ONNX file of an upload: as it is, unpacked, or exported from TorchScript.

    Args:
        upload: the uploaded file.
        name: its name as its owner knows it.
        folder: an empty folder for unpacked and exported files, which must exist as long as the file is used.
        module_inputs: the inputs of a TorchScript module whose file does not declare them.

    Raises:
        ModelError: the upload holds no ONNX model and no TorchScript module that can be exported.
        SpecError: the inputs of a TorchScript module are missing, or too many.
    """
    path = float_onnx(upload, folder, module_inputs)
    return OnnxFile(path, describe(path, name, _container(upload)))


def float_graph(file: OnnxFile, folder: Path, opset: int = OPSET) -> FloatGraph:
    """Return the normalised model of an ONNX file; ONNX Runtime loads the model if a job would hold it as a whole.

    Args:
        file: the ONNX file.
        folder: a folder for converted files, which must exist as long as the model is used.
        opset: the lowest opset of the normalised model.

    Raises:
        ModelError: a job would refuse the model.
    """
    max_bytes = max_whole_bytes(())
    source = open_model(file.path, folder, max_read=max_bytes)
    if source.size > max_bytes:
        return FloatGraph(normalise(source.model, opset, compare=False), {}, source.size, whole=False)
    reference = Session(source.reference)
    normals = batchnorm_moments(source.model)
    model = normalise(source.model, opset, None, reference)
    return FloatGraph(model, normals, source.size, whole=True)


def _container(upload: Path) -> Container:
    """Return the kind of an uploaded file that was opened before."""
    with upload.open("rb") as file:
        kind = archive_kind(file.read(512))
    if kind == "zip":
        with ZipFile(upload) as archive:
            return "torchscript" if is_torchscript(archive.namelist()) else "zip"
    return _CONTAINERS[kind]
