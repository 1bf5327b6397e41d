"""ONNX Runtime as quantd uses it: sessions, batched runs and the optimised graph."""

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from quant.errors import ModelError, QuantdError

VERSION = str(ort.__version__)
Feeds = Mapping[str, NDArray[np.generic]]

ort.set_default_logger_severity(4)  # a session's failure is raised and reported; the log would repeat it


class Session:
    """A model loaded on the CPU, from bytes or a path; `failure` is raised where ONNX Runtime cannot load or run it.

    `weights` are initializers by name that the model says to lie elsewhere. A `mapped` model's external data stays in
    its file, without the copies that its kernels would pack for speed. With `in_order` the nodes run as the model has
    them, and in no other memory layout: what moves tensors between layouts would come last. The graph that it really
    executes is written to `optimised`. Without a number of `threads` there are as many as processors.

    Raises:
        QuantdError: of the kind `failure`; ONNX Runtime's own reason is in the detail.
    """

    def __init__(
        self,
        model: bytes | Path,
        what: str = "the model",
        failure: type[QuantdError] = ModelError,
        weights: Mapping[str, NDArray[np.generic]] | None = None,
        *,
        fold_weights: bool = False,
        mapped: bool = False,
        in_order: bool = False,
        optimised: Path | None = None,
        threads: int = 0,
    ) -> None:
        options = _options()
        if in_order:
            options.execution_order = ort.ExecutionOrder.PRIORITY_BASED
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        if mapped:
            options.add_session_config_entry("session.disable_prepacking", "1")
        options.intra_op_num_threads = threads
        if optimised is not None:
            options.optimized_model_filepath = str(optimised)
        if weights:
            self._weights = [ort.OrtValue.ortvalue_from_numpy(array) for array in weights.values()]
            options.add_external_initializers(list(weights), self._weights)
        if fold_weights:
            options.add_session_config_entry("session.disable_quant_qdq", "1")
        try:
            self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001 - its exceptions share no base below Exception
            raise failure(f"ONNX Runtime {VERSION} cannot load {what}: {_reason(error)}") from None
        self._what, self._failure = what, failure
        self.outputs: tuple[str, ...] = tuple(output.name for output in self._session.get_outputs())

    def run(self, feeds: Feeds, outputs: Sequence[str] | None = None) -> list[NDArray[np.generic]]:
        """The values of `outputs` (all of the graph's outputs by default) for one batch.

        Raises:
            QuantdError: of the session's kind; an operator failed on this input.
        """
        try:
            values: list[NDArray[np.generic]] = self._session.run(outputs, feeds)
        except Exception as error:  # noqa: BLE001 - as above
            raise self._failure(f"ONNX Runtime {VERSION} cannot run {self._what}: {_reason(error)}") from None
        return values


def optimised_operators(model: bytes) -> Counter[str]:
    """How often each operator occurs in the graph that ONNX Runtime really executes.

    A `DequantizeLinear` of a weight that is left there runs at every inference; it is counted under
    `"DequantizeLinear(weight)"` too.
    """
    return loaded_and_counted(model)[1]


def loaded_and_counted(
    model: bytes, what: str = "the model", failure: type[QuantdError] = ModelError
) -> tuple[Session, Counter[str]]:
    """A model loaded as by `Session`, and its `optimised_operators`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "optimised.onnx")
        session = Session(model, what, failure, optimised=path)
        return session, _operators(onnx.load(path).graph)


def _operators(graph: onnx.GraphProto) -> Counter[str]:
    counts = Counter(node.op_type for node in graph.node)
    constants = {tensor.name for tensor in graph.initializer}
    counts["DequantizeLinear(weight)"] = sum(
        node.op_type == "DequantizeLinear" and node.input[0] in constants for node in graph.node
    )
    return counts


def _options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    # between runs threads would wait in a loop for the next one, beside whatever else wants the processors
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.enable_mem_pattern = False  # a plan of all memory ahead takes up to twice as much, and saves no time here
    return options


def _reason(error: Exception) -> str:
    """The first line of ONNX Runtime's message, without its own source locations."""
    text = str(error).strip().split("\n")[0]
    return text.removeprefix("[ONNXRuntimeError] : ")[:400]
