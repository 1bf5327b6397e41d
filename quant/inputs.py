"""The input files of a job: opened, and read and hashed in the background."""

from collections.abc import Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import onnx_ir as ir

from quant.data.dataset import Dataset
from quant.data.read import read_dataset
from quant.data.read_sequences import check_states, read_sequences
from quant.digests import FileDigest
from quant.errors import DatasetError, LargeModel
from quant.graph.load.source import FloatModel, open_model
from quant.layerwise import max_whole_bytes, whole_model_reasons
from quant.outcome.baseline import Baseline
from quant.spec import Spec

Role = Literal["calibration", "evaluation"]


@dataclass(frozen=True)
class Inputs:
    """The files of one job.

    Attributes:
        model: the uploaded model: ONNX, a zip or tar of it, or TorchScript.
        name: the model's file name as its owner knows it.
        spec: the spec as a JSON document.
        calibration: the calibration set, in any format of `quant.data.formats`.
        evaluation: the evaluation set.
        isolation: what the process is isolated from, for the manifest.
        baseline: the earlier job to compare with; None for none.
    """

    model: Path
    name: str
    spec: Mapping[str, Any]
    calibration: Path | None = None
    evaluation: Path | None = None
    isolation: tuple[str, ...] = ()
    baseline: Baseline | None = None


@dataclass(frozen=True)
class OpenedInputs:
    """The opened model of a job, with data sets and digests that are still being read.

    `name` is the model's file name as its owner knows it.
    `whole` is True if the model is quantized as a whole, False if it is so large that this is done layer by layer.
    """

    name: str
    source: FloatModel
    whole: bool
    _datasets: Mapping[Role, Future[Dataset]]
    _digests: Mapping[str, Future[FileDigest]]

    @property
    def model_sha256(self) -> str:
        """The SHA-256 of the uploaded model file."""
        return self._digests["model"].result().sha256

    @property
    def digests(self) -> dict[str, FileDigest]:
        """The digests of all files by their role."""
        return {role: digest.result() for role, digest in self._digests.items()}

    def dataset(self, role: Role) -> Dataset | None:
        """Return the data set of a role; None where the job has none.

        Raises:
            DatasetError: the file is not a data set for the model.
        """
        return self._datasets[role].result() if role in self._datasets else None


def open_inputs(inputs: Inputs, spec: Spec, scratch: Path, background: Executor) -> OpenedInputs:
    """Open the model of a job, and start to read its data sets and to hash its files.

    Args:
        inputs: the files.
        spec: the resolved spec.
        scratch: a folder for unpacked and converted files; it has to exist as long as the model is used.
        background: runs what is read and hashed, one after the other.

    Raises:
        ModelError: the model cannot be opened.
        SpecError: a pair of states in the spec is no input and output of the model of one shape.
        LargeModel: the model is too large for what the job needs of it.
    """
    roles: dict[Role, Path | None] = {"calibration": inputs.calibration, "evaluation": inputs.evaluation}
    paths = {role: path for role, path in roles.items() if path is not None}
    digests: dict[str, Future[FileDigest]] = {"model": background.submit(FileDigest.read, inputs.model)}
    reasons = whole_model_reasons(spec, calibrated="calibration" in paths)
    max_bytes = max_whole_bytes(reasons)
    source = open_model(inputs.model, scratch, spec.torchscript.inputs, max_bytes)
    check_states(spec.states, source.model)
    whole = source.size <= max_bytes
    if reasons and not whole:
        raise LargeModel(
            f"{' and '.join(reasons)}, which is for models of at most {max_bytes} bytes, and the model has "
            f"{source.size}; accepted: a *-weights preset without calibration data and without a budget"
        )
    datasets = {role: background.submit(_read, role, path, source.model, spec) for role, path in paths.items()}
    digests |= {role: background.submit(FileDigest.read, path) for role, path in paths.items()}
    return OpenedInputs(inputs.name, source, whole, datasets, digests)


def _read(role: Role, path: Path, model: ir.Model, spec: Spec) -> Dataset:
    """Read a dataset; an error says which one it is about."""
    try:
        if spec.states:
            return read_sequences(path, model, spec.states)
        return read_dataset(path, model, spec.images)
    except DatasetError as error:
        raise type(error)(f"{role} data: {error.detail}", error.errors) from None
