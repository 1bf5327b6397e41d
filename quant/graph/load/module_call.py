"""How a TorchScript module is called: its arguments as a tree whose leaves are the ONNX model's inputs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from quant.errors import FieldError, InputShapesRequired, SpecError, UnsupportedTorchScript
from quant.graph.load.traced_inputs import TracedTensor
from quant.spec import ModuleInput

BATCH = "N"
"""The dynamic axis that a trace gets: its inputs' first, where all that have the first one's size."""
_POINTER = "/torchscript/inputs"


@dataclass(frozen=True)
class Call:
    """The arguments of forward: ModuleInput for a tensor, plain values, and lists, tuples and dicts of them."""

    arguments: tuple[Any, ...]

    @property
    def inputs(self) -> list[ModuleInput]:
        return list(_leaves(self.arguments))

    @property
    def is_flat(self) -> bool:
        """Whether every argument is a tensor or a tuple of tensors: what torch's exporter takes as it is."""
        return all(
            isinstance(part, ModuleInput)
            for argument in self.arguments
            for part in (argument if isinstance(argument, tuple) else (argument,))
        )

    @property
    def axes(self) -> list[str]:
        """The names of the dynamic axes, the batch first."""
        return list(dict.fromkeys(size for given in self.inputs for size in given.shape if isinstance(size, str)))

    def dynamic_axes(self) -> dict[str, dict[int, str]]:
        """Per input, its dynamic axes by index, as torch.onnx.export takes them."""
        return {
            given.name: {axis: size for axis, size in enumerate(given.shape) if isinstance(size, str)}
            for given in self.inputs
        }

    def fixed(self, sizes: Mapping[str, int]) -> "Call":
        """The same call with numbers for its dynamic axes."""

        def fix(given: ModuleInput) -> ModuleInput:
            shape = tuple(sizes[size] if isinstance(size, str) else size for size in given.shape)
            return given.model_copy(update={"shape": shape})

        return Call(rebuild(self.arguments, fix))

    def build(self, tensors: Sequence[Any]) -> tuple[Any, ...]:
        """The arguments with these tensors, one for each of `inputs`, in their places."""
        supply = iter(tensors)
        built: tuple[Any, ...] = rebuild(self.arguments, lambda _: next(supply))
        return built


def rebuild(tree: Any, leaf: Callable[[Any], Any]) -> Any:
    """The tree with `leaf` of each ModuleInput or TracedTensor."""
    if isinstance(tree, ModuleInput | TracedTensor):
        return leaf(tree)
    if isinstance(tree, dict):
        return {key: rebuild(value, leaf) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(rebuild(value, leaf) for value in tree)
    return tree


def traced_call(schema: Any, arguments: Sequence[Any]) -> tuple[Call, dict[str, int]]:
    """The call that a module was traced with, named after forward's arguments, and the traced size of its batch axis.

    Raises:
        UnsupportedTorchScript: a tensor is of a dtype that no spec can name, such as bfloat16.
    """
    shapes = [leaf.shape for leaf in _leaves(list(arguments))]
    batch = shapes[0][0] if shapes and shapes[0] else None
    named = [
        _named(argument.name, value, batch) for argument, value in zip(schema.arguments[1:], arguments, strict=False)
    ]
    return Call(tuple(named)), {} if batch is None else {BATCH: batch}


def _named(name: str, value: Any, batch: int | None) -> Any:
    """One argument, whose tensors have its name, with a number where there are several."""
    count = len(list(_leaves(value)))
    names = iter([name] if count == 1 else [f"{name}_{number}" for number in range(count)])
    return rebuild(value, lambda leaf: _traced(leaf, next(names), batch))


def _traced(leaf: TracedTensor, name: str, batch: int | None) -> ModuleInput:
    shape = [BATCH, *leaf.shape[1:]] if leaf.shape[:1] == (batch,) else leaf.shape
    try:
        return ModuleInput.model_validate({"name": name, "shape": shape, "dtype": leaf.dtype})
    except ValidationError:
        raise UnsupportedTorchScript(
            f"argument {name!r} was traced as {leaf.dtype} {list(leaf.shape)}; accepted: what a spec's "
            "torchscript.inputs can say"
        ) from None


def given_call(schema: Any, given: Sequence[ModuleInput]) -> Call:
    """The call that the spec describes: its inputs in the order of forward's tensors.

    Raises:
        InputShapesRequired: forward takes tensors that the spec does not name.
        SpecError: the spec names more than forward takes.
        UnsupportedTorchScript: an argument is no tensor and has no default.
    """
    supply = list(given)
    call = Call(tuple(_given(argument, argument.type, supply, schema) for argument in schema.arguments[1:]))
    if supply:
        fault = FieldError(f"{_POINTER}/{len(given) - len(supply)}", "forward takes no further tensor")
        raise SpecError(f"{_POINTER} names {len(given)} inputs; the module takes {describe(schema)}", [fault])
    return call


def _given(argument: Any, kind: Any, supply: list[ModuleInput], schema: Any) -> Any:
    name = kind.kind()
    if name == "OptionalType" and supply:
        return _given(argument, kind.getElementType(), supply, schema)
    if argument.has_default_value() and (name != "TensorType" or not supply):
        return argument.default_value
    if name == "TupleType":
        return tuple(_given(argument, element, supply, schema) for element in kind.elements())
    if name == "ListType" and kind.getElementType().kind() == "TensorType" and supply:
        taken = list(supply)
        supply.clear()
        return taken
    if name not in ("TensorType", "ListType"):
        raise UnsupportedTorchScript(f"argument {argument.name!r} of forward is {kind}; accepted: tensors, tuples and "
                                     "lists of tensors, and anything with a default")  # fmt: skip
    if not supply:
        raise missing_inputs(schema)
    return supply.pop(0)


def missing_inputs(schema: Any) -> InputShapesRequired:
    example = "torchscript: {inputs: [{name: input, shape: [N, 3, 32, 32], dtype: float32}]}"
    fault = FieldError(_POINTER, "name, shape and dtype of every tensor that forward takes, in order")
    return InputShapesRequired(
        f"a scripted module does not say what shapes it takes; forward is {describe(schema)}. Add to the spec one "
        f"entry for each tensor in it, such as {example} (a letter is a dynamic axis), or upload a torch.jit.trace",
        [fault],
    )


def describe(schema: Any) -> str:
    """What forward takes, as its caller wrote it."""
    return f"forward({', '.join(f'{argument.name}: {argument.type}' for argument in schema.arguments[1:])})"[:500]


def _leaves(tree: Any) -> Iterator[Any]:
    if isinstance(tree, ModuleInput | TracedTensor):
        yield tree
    elif isinstance(tree, dict | list | tuple):
        for value in tree.values() if isinstance(tree, dict) else tree:
            yield from _leaves(value)
