"""The arguments that a module was traced with, read from `traced_inputs.pkl` without torch or pickle.

The pickle is untrusted. Its opcodes are interpreted by a closed table that imports and calls nothing: the result holds
only dtypes and shapes of tensors, plain values, and lists, tuples and dicts of these.
"""

import pickletools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from quant.errors import UnreadableModel

MAX_BYTES = 1 << 20
MAX_DEPTH, MAX_VALUES = 16, 10_000
"""The limits for the tree of arguments: by its memo, a small pickle can hold itself, or one list many times over."""
_DTYPES = {
    "Float": "float32", "Double": "float64", "Half": "float16", "BFloat16": "bfloat16", "Long": "int64",
    "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8", "Bool": "bool",
}  # fmt: skip
"""NumPy's names of the dtypes of torch's storages."""
_LISTS = {f"torch.jit._pickle build_{kind}list" for kind in ("int", "double", "bool", "tensor")}


@dataclass(frozen=True)
class TracedTensor:
    """A tensor argument: NumPy's name of its dtype (or "bfloat16"), and its shape with all axes."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class _Global:
    """A class or function that the pickle names; it is never imported."""

    name: str


_MARK = object()
"""The start of a group of values on the stack."""


def read_traced_inputs(data: bytes) -> list[Any]:
    """Return the arguments of forward: TracedTensor, numbers, strings, None, and lists, tuples and dicts of these.

    Args:
        data: the bytes of `traced_inputs.pkl`.

    Raises:
        UnreadableModel: the file is damaged, too large, or holds other values.
    """
    if len(data) > MAX_BYTES:
        raise UnreadableModel(f"traced_inputs.pkl has {len(data)} bytes; accepted: up to {MAX_BYTES}")
    try:
        arguments = _Reader().read(data)["forward"]
        if sum(1 for _ in islice(_values(arguments, 0), MAX_VALUES + 1)) > MAX_VALUES:
            raise ValueError(f"more than {MAX_VALUES} values")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise UnreadableModel(
            f"traced_inputs.pkl cannot be read ({str(error)[:200]}); accepted: tensors and plain values, "
            "as torch.jit.trace writes them"
        ) from None
    if not isinstance(arguments, list):
        raise UnreadableModel("traced_inputs.pkl has no list of arguments; accepted: what torch.jit.trace writes")
    return arguments


def _values(tree: Any, depth: int) -> Iterator[Any]:
    """Yield every node of the tree.

    Raises:
        ValueError: the tree is deeper than `MAX_DEPTH`.
    """
    if depth > MAX_DEPTH:
        raise ValueError(f"deeper than {MAX_DEPTH}")
    yield tree
    if isinstance(tree, dict | list | tuple):
        for value in tree.values() if isinstance(tree, dict) else tree:
            yield from _values(value, depth + 1)


class _Reader:
    """An interpreter of pickles: a stack, a memo, and a handler for each opcode that torch writes."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._handlers: Mapping[str, Callable[[Any], None]] = {
            "PROTO": lambda _: None,
            "MARK": lambda _: self._stack.append(_MARK),
            "NONE": lambda _: self._stack.append(None),
            "NEWTRUE": lambda _: self._stack.append(True),
            "NEWFALSE": lambda _: self._stack.append(False),
            "EMPTY_DICT": lambda _: self._stack.append({}),
            "EMPTY_LIST": lambda _: self._stack.append([]),
            "EMPTY_TUPLE": lambda _: self._stack.append(()),
            "TUPLE": lambda _: self._stack.append(tuple(self._to_mark())),
            "TUPLE1": lambda _: self._tuple(1),
            "TUPLE2": lambda _: self._tuple(2),
            "TUPLE3": lambda _: self._tuple(3),
            "APPEND": lambda _: self._extend([self._stack.pop()]),
            "APPENDS": lambda _: self._extend(self._to_mark()),
            "SETITEM": lambda _: self._update([self._stack.pop(-2), self._stack.pop()]),
            "SETITEMS": lambda _: self._update(self._to_mark()),
            "GLOBAL": lambda name: self._stack.append(_Global(name)),
            "BINPERSID": lambda _: self._stack.append(_storage_dtype(self._stack.pop())),
            "REDUCE": lambda _: self._reduce(),
            **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"), self._stack.append),
            **dict.fromkeys(("BINUNICODE", "SHORT_BINSTRING"), self._stack.append),
            **dict.fromkeys(("BINPUT", "LONG_BINPUT"), self._put),
            **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda key: self._stack.append(self._memo[key])),
        }

    def read(self, data: bytes) -> Any:
        """Return the value of a pickle.

        Raises:
            ValueError, KeyError, IndexError, TypeError, AttributeError: the pickle is damaged or has other opcodes.
        """
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "STOP":
                return self._stack.pop()
            if opcode.name not in self._handlers:
                raise ValueError(f"opcode {opcode.name}")
            self._handlers[opcode.name](argument)
        raise ValueError("no end")

    def _put(self, key: int) -> None:
        self._memo[key] = self._stack[-1]

    def _to_mark(self) -> list[Any]:
        """Remove the values above the last mark, and the mark, from the stack; return the values."""
        start = len(self._stack) - 1
        while self._stack[start] is not _MARK:
            start -= 1
            if start < 0:
                raise ValueError("no mark")
        items = self._stack[start + 1 :]
        del self._stack[start:]
        return items

    def _tuple(self, size: int) -> None:
        items = tuple(self._stack[-size:])
        del self._stack[-size:]
        self._stack.append(items)

    def _extend(self, items: list[Any]) -> None:
        if not isinstance(self._stack[-1], list):
            raise TypeError("items without a list")
        self._stack[-1].extend(items)

    def _update(self, items: list[Any]) -> None:
        if not isinstance(self._stack[-1], dict):
            raise TypeError("entries without a dict")
        self._stack[-1].update(zip(items[::2], items[1::2], strict=True))

    def _reduce(self) -> None:
        """Replace a call on the stack by its result, for the few calls that torch writes."""
        arguments, function = self._stack.pop(), self._stack.pop()
        name = function.name if isinstance(function, _Global) else "?"
        if name == "torch._utils _rebuild_tensor_v2":
            self._stack.append(_traced_tensor(arguments))
        elif name == "torch.jit._pickle restore_type_tag" or name in _LISTS:
            self._stack.append(arguments[0])
        elif name == "collections OrderedDict" and not arguments:
            self._stack.append({})
        else:
            raise ValueError(f"a call of {name}")


def _traced_tensor(arguments: Any) -> TracedTensor:
    """Return the tensor of a call `_rebuild_tensor_v2(storage, offset, shape, ...)`."""
    dtype, _, shape = arguments[:3]
    if not isinstance(dtype, str) or not all(isinstance(size, int) and size >= 0 for size in shape):
        raise ValueError("a tensor without dtype or shape")
    return TracedTensor(dtype, tuple(shape))


def _storage_dtype(reference: Any) -> str:
    """Return the dtype of a storage `("storage", torch.FloatStorage, key, device, elements)`."""
    kind = reference[1]
    name = kind.name.removeprefix("torch ").removesuffix("Storage") if isinstance(kind, _Global) else "?"
    if reference[0] != "storage" or name not in _DTYPES:
        raise ValueError(f"a tensor of {name}")
    return _DTYPES[name]
