"""The reader of sequences for streaming models: arrays (sequences, steps, *shape of the input)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.data.dataset import Dataset
from quant.data.declared import describe_type, is_fixed, sizes_of, takes_type
from quant.data.files import read_arrays
from quant.data.labels import read_labels
from quant.data.read import check_finite
from quant.data.sequences import InitialStates, Sequences
from quant.data.sources import Constant, Feeds, Source
from quant.errors import FieldError, InputMismatch, SpecError

Array = NDArray[np.generic]
Arrays = Mapping[str, Array]
LABELS = ("labels", "__labels__")


def read_sequences(path: Path, model: ir.Model, states: Mapping[str, str]) -> Dataset:
    """Read a set of sequences from the `.npz` file at `path` and check it against the model's inputs.

    The array of an input is (sequences, steps, *shape). That of a state is (sequences, *shape): its values before the
    first step, which are zero without an array. An array of the input's own shape is its value in every step. `labels`
    is (sequences, steps).

    Args:
        path: the file.
        model: the float model.
        states: the output that holds the next value of each state input, by the input's name.

    Raises:
        UnreadableDataset: the file is no .npz, is cut short, or contains pickled objects.
        InputMismatch: an array is missing or unknown, or has another type or shape.
        NonFiniteData: an array contains NaN or infinity.
    """
    inputs = {str(value.name): value for value in model.graph.inputs if not value.is_initializer()}
    arrays = dict(read_arrays(path))
    labels = next((arrays.pop(name) for name in LABELS if name in arrays and name not in inputs), None)
    unknown = sorted(set(arrays) - set(inputs))
    if unknown:
        raise InputMismatch(f"array {unknown[0]!r} is no input of the model; its inputs are {_listed(inputs)}")
    for name, value in inputs.items():
        _check_array(value, arrays, is_state=name in states)
    sequences, steps = _counts(inputs, arrays, states)
    sources: dict[str, Source] = {}
    for name, value in inputs.items():
        if name in states:
            sources[name] = InitialStates(_initial(value, arrays, sequences), steps)
        elif arrays[name].ndim > _rank(value):
            sources[name] = Feeds(arrays[name].reshape(sequences * steps, *arrays[name].shape[2:]))
        else:
            sources[name] = Constant(arrays[name])
    classes = None if labels is None else read_labels("labels", labels.reshape(-1))
    if classes is not None and len(classes) != sequences * steps:
        raise InputMismatch(f"array 'labels' has {len(classes)} values; accepted: [{sequences}, {steps}]")
    samples = Dataset(sources, classes, sequences * steps, batch=1, fixed=True)
    return replace(samples, sequences=Sequences(states, steps))


def check_states(states: Mapping[str, str], model: ir.Model) -> None:
    """Raise unless every state is an input of the model, paired with an output of the same type and shape.

    Args:
        states: the output that holds the next value of each state input, by the input's name.
        model: the float model.

    Raises:
        SpecError: a name is unknown, or a pair differs in type or shape; `errors` has a JSON pointer for each.
    """
    inputs = {str(value.name): value for value in model.graph.inputs if not value.is_initializer()}
    outputs = {str(value.name): value for value in model.graph.outputs}
    details = {name: _fault(name, output, inputs, outputs) for name, output in states.items()}
    faults = [FieldError(f"/states/{_escaped(name)}", detail) for name, detail in details.items() if detail is not None]
    if faults:
        raise SpecError("; ".join(f"{fault.pointer}: {fault.detail}" for fault in faults), faults)


def _counts(inputs: Mapping[str, ir.Value], arrays: Arrays, states: Mapping[str, str]) -> tuple[int, int]:
    """Return the number of sequences and the number of their steps.

    Raises:
        InputMismatch: the arrays differ in them, one is zero, or no array has these axes.
    """
    counts = {
        name: arrays[name].shape[:2]
        for name, value in inputs.items()
        if name not in states and arrays[name].ndim > _rank(value)
    }
    if len(set(counts.values())) != 1 or 0 in next(iter(counts.values())):
        listed = ", ".join(f"{name!r} has {list(count)}" for name, count in counts.items()) or "none"
        raise InputMismatch(
            f"every array needs the same number of sequences and of steps, at least one; found {listed}"
        )
    sequences, steps = next(iter(counts.values()))
    return sequences, steps


def _fault(name: str, output: str, inputs: Mapping[str, ir.Value], outputs: Mapping[str, ir.Value]) -> str | None:
    """Return what is wrong with a pair of a state input and a state output, or None."""
    if name not in inputs:
        return f"{name!r} is no input of the model; accepted: {_listed(inputs)}"
    if output not in outputs:
        return f"{output!r} is no output of the model; accepted: {_listed(outputs)}"
    before, after = inputs[name], outputs[output]
    if sizes_of(before) is None or (sizes_of(after) is not None and not _same(sizes_of(before), sizes_of(after))):
        return (
            f"the input {name!r} has shape {_described(before)} and the output {output!r} {_described(after)}; "
            "accepted: an output with the shape of the input"
        )
    if before.dtype != after.dtype:
        return (
            f"the input {name!r} is {describe_type(before)} and the output {output!r} {describe_type(after)}; "
            "accepted: an output with the type of the input"
        )
    return None


def _same(before: Sequence[int | str] | None, after: Sequence[int | str] | None) -> bool:
    """Return True if two declared shapes agree wherever both fix a size."""
    if before is None or after is None or len(before) != len(after):
        return False
    return all(not is_fixed(a) or not is_fixed(b) or a == b for a, b in zip(before, after, strict=True))


def _check_array(value: ir.Value, arrays: Arrays, *, is_state: bool) -> None:
    """Raise unless the array of an input has its type and one of the shapes of a set of sequences.

    Raises:
        InputMismatch: it does not, or there is no array for an input that is no state.
    """
    name, sizes = str(value.name), sizes_of(value)
    leading = ["sequences"] if is_state else ["sequences", "steps"]
    if sizes is None or (name not in arrays and not is_state):
        problem = f"array {name!r} is missing" if sizes else f"the input {name!r} of the model has no known shape"
        raise InputMismatch(f"{problem}; accepted: {_described(value, leading)}")
    if name not in arrays:
        return
    array = arrays[name]
    if not takes_type(value, array.dtype):
        raise InputMismatch(f"array {name!r} is {array.dtype}; accepted: {describe_type(value)}")
    extra = array.ndim - len(sizes)
    agrees = all(not is_fixed(size) or size == got for size, got in zip(sizes, array.shape[extra:], strict=False))
    if extra not in (0, len(leading)) or not agrees:
        raise InputMismatch(
            f"array {name!r} has shape {list(array.shape)}; accepted: {_described(value, leading)}, or "
            f"{_described(value)} for one value"
        )
    check_finite(name, array)


def _initial(value: ir.Value, arrays: Arrays, sequences: int) -> Array:
    """Return the values (sequences, *shape) of a state before the first step.

    Raises:
        InputMismatch: there are none for a state of unknown size, or for another number of sequences.
    """
    name, sizes = str(value.name), sizes_of(value) or []
    if name not in arrays:
        if not all(map(is_fixed, sizes)) or value.dtype is None:
            raise InputMismatch(
                f"the state {name!r} has no fixed size, so that it cannot start at zeros; accepted: its array, "
                f"{_described(value, ['sequences'])}"
            )
        return np.zeros((sequences, *map(int, sizes)), value.dtype.numpy())
    array = arrays[name]
    if array.ndim == len(sizes):
        return np.broadcast_to(array, (sequences, *array.shape))
    if len(array) != sequences:
        raise InputMismatch(f"array {name!r} has {len(array)} sequences and the other arrays have {sequences}")
    return array


def _rank(value: ir.Value) -> int:
    return len(sizes_of(value) or ())


def _described(value: ir.Value, leading: Sequence[str] = ()) -> str:
    """Return the declared shape of a value as text, after leading axes."""
    sizes = sizes_of(value)
    return "of any rank" if sizes is None else f"[{', '.join(map(str, [*leading, *sizes]))}]"


def _listed(values: Mapping[str, ir.Value]) -> str:
    return ", ".join(f"{name!r} {_described(value)}" for name, value in values.items())


def _escaped(name: str) -> str:
    """Return a name as a token of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")
