"""The only module that imports ONNX Runtime: sessions on the CPU, runs, and the operators of the optimised graph."""

import errno
import json
import os
import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from quant.errors import ModelError, QuantdError

VERSION = str(ort.__version__)
Feeds = Mapping[str, NDArray[np.generic]]
"""An array for each input of the model, by name."""

_KERNEL_TIME = "_kernel_time"
"""The end of the name of a profiler's event that holds the duration of a node."""

_FAILED_NODE = re.compile(r".*returned while running (\S+) node\. Name:'(.*?)' Status Message: (.*)")
_SOURCE = re.compile(r"^(/\S+:\d+ )(.*?\) )?")
"""The place in ONNX Runtime's own source with which some of its messages begin."""

ort.set_default_logger_severity(4)  # a failure is raised as an exception; the log would repeat it


@dataclass(frozen=True)
class NodeTime:
    """The durations of one node of the optimised graph in microseconds, one for each run in the order of the runs."""

    name: str
    durations: tuple[float, ...]


@dataclass(frozen=True)
class DequantizedWeight:
    """A constant that the executed graph dequantizes at every inference.

    Attributes:
        names: The names of the DequantizeLinear, of its input and output, and of the node that reads it.
        reader: The operator that reads it.
    """

    names: tuple[str, ...]
    reader: str


@dataclass(frozen=True)
class ExecutedGraph:
    """The graph that ONNX Runtime executes after its optimisations.

    Attributes:
        nodes: the name and the operator of each node, also in bodies of nodes.
        dequantized: the constants that it dequantizes at every inference.
    """

    nodes: tuple[tuple[str, str], ...]
    dequantized: tuple[DequantizedWeight, ...]


class Session:
    """A model that ONNX Runtime has loaded on the CPU.

    Args:
        model: the bytes of the ONNX file, or its path.
        what: the model's description in error texts.
        failure: the class of the error that is raised if the model cannot be loaded or run.
        weights: the arrays of initializers, by name, for which the model refers to external data.
        fold_weights: compute dequantized weights once, at load time, instead of fusing them into integer kernels.
        mapped: leave external data in its file, without the copies that kernels would pack for speed.
        in_order: run the nodes in the order of the model. Graph optimisations that change the memory layout are off,
            since the nodes that they add would run last.
        optimised: the path to which the graph that is really executed is written.
        threads: the number of threads of an operator; 0 for one on each processor.
        spinning: let threads wait actively for each other, as sessions of ONNX Runtime do by default. Where other work
            runs on the machine, that doubles the processor time.
        profile: the beginning of the path of the profiler's file, for `node_times`.

    Raises:
        QuantdError: an error of class `failure`, with ONNX Runtime's reason in the detail.
        OSError: the model can be loaded, but `optimised` cannot be written.
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
        spinning: bool = False,
        profile: Path | None = None,
    ) -> None:
        options = _options()
        if not spinning:
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if profile is not None:
            options.enable_profiling, options.profile_file_prefix = True, str(profile)
        if in_order:
            options.execution_order = ort.ExecutionOrder.PRIORITY_BASED
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        if mapped:
            options.add_session_config_entry("session.disable_prepacking", "1")
        options.intra_op_num_threads = threads
        if optimised is not None:
            options.optimized_model_filepath = str(optimised)
            entry = "session.optimized_model_external_initializers_"  # written one by one, without copies in memory
            options.add_session_config_entry(f"{entry}file_name", f"{optimised.name}.data")
            options.add_session_config_entry(f"{entry}min_size_in_bytes", "1024")
        if weights:
            self._weights = [ort.OrtValue.ortvalue_from_numpy(array) for array in weights.values()]
            options.add_external_initializers(list(weights), self._weights)
        if fold_weights:
            options.add_session_config_entry("session.disable_quant_qdq", "1")
        try:
            self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions share no base below Exception
            if optimised is not None:
                Session(model, what, failure, weights)  # raises if the model itself is at fault
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(optimised)) from error
            raise failure(f"ONNX Runtime {VERSION} cannot load {what}: {_reason(error)}") from None
        self._what, self._failure = what, failure
        self.outputs: tuple[str, ...] = tuple(output.name for output in self._session.get_outputs())

    @property
    def sequences(self) -> frozenset[str]:
        """The names of the outputs with several axes whose last axis has no fixed size."""
        outputs = self._session.get_outputs()
        return frozenset(o.name for o in outputs if len(o.shape) > 1 and not isinstance(o.shape[-1], int))

    def run(self, feeds: Feeds, outputs: Sequence[str] | None = None) -> list[NDArray[np.generic]]:
        """Return the values of `outputs` (by default, of all graph outputs) for one batch.

        Raises:
            QuantdError: an error of class `failure`, because an operator failed on this input.
        """
        try:
            values: list[NDArray[np.generic]] = self._session.run(outputs, feeds)
        except Exception as error:  # noqa: BLE001 - as above
            raise self._failure(f"ONNX Runtime {VERSION} cannot run {self._what}: {_reason(error)}") from None
        return values

    def node_times(self) -> list[NodeTime]:
        """End the profile and return the durations of the nodes of the optimised graph, bodies of nodes included.

        Requires that the session was made with `profile`.

        Raises:
            OSError: the disk had no space for all of the profile.
        """
        path = self._session.end_profiling()
        try:
            return _node_times(json.loads(Path(path).read_bytes()))
        except json.JSONDecodeError as error:  # ONNX Runtime ignores failed writes
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path) from error


def processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0))


def optimised_operators(model: bytes) -> Counter[str]:
    """Return the number of nodes of each operator in the graph that ONNX Runtime really executes.

    A `DequantizeLinear` of a weight that the optimisation left runs at every inference. It counts under
    `"DequantizeLinear(weight)"` as well.

    Raises:
        ModelError: ONNX Runtime cannot load the model.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "optimised.onnx")
        Session(model, optimised=path)
        graph = onnx.load(path, load_external_data=False).graph
    counts = Counter(node.op_type for node in graph.node)
    counts["DequantizeLinear(weight)"] = len(list(_dequantized(graph, frozenset())))
    return counts


def load_executed(
    model: bytes, what: str = "the model", failure: type[QuantdError] = ModelError
) -> tuple[Session, list[DequantizedWeight]]:
    """Load a model as `Session` does; return the session and the weights that it dequantizes at every inference.

    Raises:
        QuantdError: an error of class `failure`, because ONNX Runtime cannot load the model.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "optimised.onnx")
        session = Session(model, what, failure, optimised=path)
        return session, list(_dequantized(onnx.load(path, load_external_data=False).graph, frozenset()))


def executed_graph(model: bytes, what: str = "the model", failure: type[QuantdError] = ModelError) -> ExecutedGraph:
    """Return the graph that ONNX Runtime executes for a model.

    Raises:
        QuantdError: an error of class `failure`, because ONNX Runtime cannot load the model.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "optimised.onnx")
        Session(model, what, failure, optimised=path)
        graph = onnx.load(path, load_external_data=False).graph
    return ExecutedGraph(tuple(_named_nodes(graph)), tuple(_dequantized(graph, frozenset())))


def _named_nodes(graph: onnx.GraphProto) -> Iterator[tuple[str, str]]:
    """Yield the name and the operator of each node of a graph and of its bodies."""
    for node in graph.node:
        yield node.name, node.op_type
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                yield from _named_nodes(body)


def _dequantized(graph: onnx.GraphProto, outer: frozenset[str]) -> Iterator[DequantizedWeight]:
    """Yield the dequantized constants of an executed graph and of its bodies; `outer` are constants of outer graphs."""
    constants = outer | {tensor.name for tensor in graph.initializer}
    readers = {name: node for node in graph.node for name in node.input}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in constants:
            reader = readers.get(node.output[0])
            names = (node.name, node.input[0], node.output[0], "" if reader is None else reader.name)
            yield DequantizedWeight(names, "no operator" if reader is None else reader.op_type)
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                yield from _dequantized(body, constants)


def _node_times(events: Iterable[Mapping[str, Any]]) -> list[NodeTime]:
    """Return the durations of each node; two nodes of the same name count as one."""
    durations: dict[str, list[float]] = defaultdict(list)
    for event in events:
        name = str(event.get("name", ""))
        if event.get("cat") == "Node" and name.endswith(_KERNEL_TIME):
            durations[name.removesuffix(_KERNEL_TIME)].append(float(event["dur"]))
    return [NodeTime(name, tuple(values)) for name, values in durations.items()]


def _options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    # by default idle threads spin until the next run, which takes processor time from other work
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.enable_mem_pattern = False  # planning takes up to twice the memory and saves no time here
    return options


def _reason(error: Exception) -> str:
    """Return the first line of ONNX Runtime's message; later lines name its own source files."""
    text = str(error).strip().split("\n")[0].removeprefix("[ONNXRuntimeError] : ")
    failed = _FAILED_NODE.match(text)
    if failed is None:
        return text[:400]
    operator, node, message = failed.groups()
    return f"{operator}{f' {node!r}' if node else ''} failed: {_SOURCE.sub('', message)}"[:400]
