"""The call of a TorchScript module: a tree of arguments whose tensors become the inputs of the ONNX model."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from quant.errors import FieldError, InputShapesRequired, SpecError, UnsupportedTorchScript
from quant.graph.load.traced_inputs import TracedTensor
from quant.spec import ModuleInput

BATCH = "N"
"""The name of the dynamic axis of a traced call: the first axis of every input that is as long as the first input's."""
_POINTER = "/torchscript/inputs"


@dataclass(frozen=True)
class Call:
    """The arguments of forward.

    Attributes:
        arguments: a ModuleInput for each tensor, plain values, and lists, tuples and dicts of these.
        sizes: for each dynamic axis by name, a size at which the module runs.
    """

    arguments: tuple[Any, ...]
    sizes: Mapping[str, int] = field(default_factory=dict)

    @property
    def inputs(self) -> list[ModuleInput]:
        """The tensors in order."""
        return list(_leaves(self.arguments))

    @property
    def is_flat(self) -> bool:
        """True if every argument is a tensor or a tuple of tensors, which torch's exporter accepts as it is."""
        return all(
            isinstance(part, ModuleInput)
            for argument in self.arguments
            for part in (argument if isinstance(argument, tuple) else (argument,))
        )

    @property
    def axes(self) -> list[str]:
        """The names of the dynamic axes, the batch first."""
        return list(dict.fromkeys(size for item in self.inputs for size in item.shape if isinstance(size, str)))

    @property
    def dynamic_axes(self) -> dict[str, dict[int, str]]:
        """For each input, the names of its dynamic axes by index, as torch.onnx.export takes them."""
        return {
            item.name: {axis: size for axis, size in enumerate(item.shape) if isinstance(size, str)}
            for item in self.inputs
        }

    def with_sizes(self, sizes: Mapping[str, int]) -> "Call":
        """Return the call with sizes at which the module runs."""
        return replace(self, sizes=sizes)

    def at(self, sizes: Mapping[str, int]) -> "Call":
        """Return the call with these sizes in place of its dynamic axes."""

        def fix(item: ModuleInput) -> ModuleInput:
            shape = tuple(sizes[size] if isinstance(size, str) else size for size in item.shape)
            return item.model_copy(update={"shape": shape})

        return Call(rebuild(self.arguments, fix))

    def build(self, tensors: Sequence[Any]) -> tuple[Any, ...]:
        """Return the arguments with these tensors, one for each of `inputs`, in their places."""
        supply = iter(tensors)
        arguments: tuple[Any, ...] = rebuild(self.arguments, lambda _: next(supply))
        return arguments


def rebuild(tree: Any, leaf: Callable[[Any], Any]) -> Any:
    """Return the tree with each ModuleInput and TracedTensor replaced by the result of `leaf`."""
    if isinstance(tree, ModuleInput | TracedTensor):
        return leaf(tree)
    if isinstance(tree, dict):
        return {key: rebuild(value, leaf) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(rebuild(value, leaf) for value in tree)
    return tree


def traced_call(schema: Any, arguments: Sequence[Any]) -> Call:
    """Return the call that a module was traced with, its inputs named after forward's arguments.

    Args:
        schema: the torch.FunctionSchema of forward.
        arguments: the traced arguments, with a TracedTensor for each tensor.

    Raises:
        UnsupportedTorchScript: a tensor has a dtype that a spec cannot name, such as bfloat16.
    """
    shapes = [leaf.shape for leaf in _leaves(list(arguments))]
    batch = shapes[0][0] if shapes and shapes[0] else None
    named = [
        _named(argument.name, value, batch) for argument, value in zip(schema.arguments[1:], arguments, strict=False)
    ]
    return Call(tuple(named), {} if batch is None else {BATCH: batch})


def declared_call(schema: Any, inputs: Sequence[ModuleInput]) -> Call:
    """Return the call that a spec describes, its inputs in the order of forward's tensors.

    Args:
        schema: the torch.FunctionSchema of forward.
        inputs: the inputs that the spec declares.

    Raises:
        InputShapesRequired: forward takes tensors that the spec does not name.
        SpecError: the spec names more inputs than forward takes.
        UnsupportedTorchScript: an argument is no tensor and has no default.
    """
    supply = list(inputs)
    call = Call(tuple(_declared(argument, argument.type, supply, schema) for argument in schema.arguments[1:]))
    if supply:
        fault = FieldError(f"{_POINTER}/{len(inputs) - len(supply)}", "forward takes no further tensor")
        raise SpecError(f"{_POINTER} names {len(inputs)} inputs; the module takes {describe(schema)}", [fault])
    if not call.inputs:
        raise _missing_inputs(schema)
    return call


def describe(schema: Any) -> str:
    """Return forward's arguments and their types as text, cut after 500 characters."""
    return f"forward({', '.join(f'{argument.name}: {argument.type}' for argument in schema.arguments[1:])})"[:500]


def _named(name: str, value: Any, batch: int | None) -> Any:
    """Return one traced argument, its tensors named after it, with a number if there are several."""
    count = len(list(_leaves(value)))
    names = iter([name] if count == 1 else [f"{name}_{number}" for number in range(count)])
    return rebuild(value, lambda leaf: _traced_input(leaf, next(names), batch))


def _traced_input(leaf: TracedTensor, name: str, batch: int | None) -> ModuleInput:
    shape = [BATCH, *leaf.shape[1:]] if leaf.shape[:1] == (batch,) else leaf.shape
    try:
        return ModuleInput.model_validate({"name": name, "shape": shape, "dtype": leaf.dtype})
    except ValidationError:
        raise UnsupportedTorchScript(
            f"argument {name!r} was traced as {leaf.dtype} {list(leaf.shape)}; accepted: the names, shapes and dtypes "
            "of a spec's torchscript.inputs"
        ) from None


def _declared(argument: Any, kind: Any, supply: list[ModuleInput], schema: Any) -> Any:
    """Return one argument of forward, and remove the inputs that it takes from `supply`."""
    name = kind.kind()
    if name == "OptionalType" and supply:
        return _declared(argument, kind.getElementType(), supply, schema)
    if argument.has_default_value() and (name != "TensorType" or not supply):
        return argument.default_value
    if name == "TupleType":
        return tuple(_declared(argument, element, supply, schema) for element in kind.elements())
    if name == "ListType" and kind.getElementType().kind() == "TensorType" and supply:
        tensors = list(supply)
        supply.clear()
        return tensors
    if name not in ("TensorType", "ListType"):
        raise UnsupportedTorchScript(
            f"argument {argument.name!r} of forward is {kind}; accepted: tensors, tuples and lists of tensors, and "
            "anything with a default"
        )
    if not supply:
        raise _missing_inputs(schema)
    return supply.pop(0)


def _missing_inputs(schema: Any) -> InputShapesRequired:
    example = "torchscript: {inputs: [{name: input, shape: [N, 3, 32, 32], dtype: float32}]}"
    fault = FieldError(_POINTER, "name, shape and dtype of every tensor that forward takes, in order")
    return InputShapesRequired(
        f"a scripted module does not declare the shapes of its inputs; forward is {describe(schema)}. Add to the spec "
        f"one entry for each tensor, such as {example} (a letter is a dynamic axis), or upload a torch.jit.trace",
        [fault],
    )


def _leaves(tree: Any) -> Iterator[Any]:
    """Yield every ModuleInput and TracedTensor of the tree in order."""
    if isinstance(tree, ModuleInput | TracedTensor):
        yield tree
    elif isinstance(tree, dict | list | tuple):
        for value in tree.values() if isinstance(tree, dict) else tree:
            yield from _leaves(value)
