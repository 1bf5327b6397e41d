"""Conversion of a model to a later opset with onnx's version converter, verified by comparing outputs.

Rewrite rules:

1. A model of an earlier opset -> what onnx's converter makes of it.
2. Upsample and Resize of an opset before 11 -> Resize with the attributes that name their coordinate mapping. The
   converter alone leaves these attributes out, so that Resize computes something else.

Requires: no local functions.
Ensures: on the sample, or on generated inputs, the outputs are those of the model before.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import version_converter

from quant.errors import ModelError, UnsupportedOpset
from quant.graph.normalise.compare import difference
from quant.graph.normalise.generated import generated_feeds
from quant.graph.random_values import random_tensors
from quant.graph.signature import set_map_types_aside
from quant.graph.weightless import Weightless, give_weights_back, weightless
from quant.runtime import Feeds, Session

IR_VERSIONS = {21: 10, 25: 13}
"""The IR version of the new types of an opset and those after it: INT4 since opset 21, INT2 since opset 25."""
RESIZE_11 = 11
"""The first opset in which Resize names its coordinate mapping. Before, the mapping was asymmetric."""
_UNCHANGED: tuple[dict[str, str], ...] = ({},)
_BEFORE_RESIZE_11 = (
    {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "ceil"},  # for a Resize that shrinks
)


@dataclass(frozen=True)
class _Expectation:
    """Inputs that the model accepts, and its outputs for them; those at the numbers `random` differ in every run."""

    feeds: Feeds
    outputs: Sequence[NDArray[np.generic]]
    random: frozenset[int]

    def fault(self, converted: Weightless) -> str | None:
        """Return a description of how the converted model fails or differs; None if it gives the same outputs."""
        try:
            session = Session(converted.proto.SerializeToString(), "the converted model", weights=converted.arrays)
            changed = difference(self.outputs, session.run(self.feeds), self.random)
            return None if changed is None else f"onnx's converter changes what it computes ({changed})"
        except ModelError as error:
            return error.detail


def at_opset(
    model: ir.Model,
    opset: int,
    sample: Feeds | None = None,
    reference: Session | None = None,
    *,
    compare: bool = True,
) -> ir.Model:
    """Return the model at `opset`, or the model itself if it has that opset or a later one.

    Args:
        model: a model without local functions. Its weights are shared with the result.
        opset: the opset of the result.
        sample: one batch that the model accepts; without it the inputs are generated.
        reference: a session of `model`; without it the model is loaded here.
        compare: False to convert without running anything.

    Raises:
        UnsupportedOpset: onnx cannot convert the model, or the result computes something else; without a comparison,
            if it is known that it may.
        ModelError: ONNX Runtime cannot load the model as it is.
    """
    if model.opset_imports.get("", 0) >= opset:
        return model
    before = weightless(model)
    if not compare:
        return _convert_unverified(model, before, opset)
    session = reference or Session(before.proto.SerializeToString(), weights=before.arrays)
    return _convert_verified(model, before, opset, _expectation(model, session, sample))


def raise_ir_version(model: ir.Model) -> None:
    """Raise the IR version of the model in place to the one that its opset needs."""
    opset = model.opset_imports[""]
    needed = [version for first, version in IR_VERSIONS.items() if opset >= first]
    model.ir_version = max([model.ir_version, *needed])


def _convert_verified(model: ir.Model, before: Weightless, opset: int, expected: _Expectation | None) -> ir.Model:
    """Return the first conversion, over the possible attributes of Resize, that gives the expected outputs."""
    fault: str | None = None
    for attributes in _resize_attributes(model):
        converted = _convert(before.proto, opset)
        _set_resize_attributes(converted, attributes)
        after = Weightless(ir.to_proto(converted), before.weights)
        fault = None if expected is None else expected.fault(after)
        if fault is None:
            give_weights_back(converted, model)
            return converted
    raise UnsupportedOpset(
        f"the model of opset {model.opset_imports.get('')} cannot be brought to {opset}: {fault}; accepted: a model "
        f"that ONNX Runtime runs at opset {opset}{_lower_opsets(opset)}"
    )


def _lower_opsets(opset: int) -> str:
    """Return the opsets that a spec may ask for instead, for the end of a message; none below the first."""
    lower = [str(first) for first in IR_VERSIONS if first < opset]
    return f", or export.opset {' or '.join(lower)} in the spec" if lower else ""


def _convert_unverified(model: ir.Model, before: Weightless, opset: int) -> ir.Model:
    if _resize_attributes(model) is _BEFORE_RESIZE_11:
        raise UnsupportedOpset(
            f"the model has opset {model.opset_imports.get('')} and a Resize or Upsample, which onnx's converter "
            "changes, and the model is too large to run and compare; "
            f"accepted: a model exported at opset {opset}"
        )
    converted = _convert(before.proto, opset)
    give_weights_back(converted, model)
    return converted


def _convert(before: onnx.ModelProto, opset: int) -> ir.Model:
    try:
        converted = version_converter.convert_version(before, opset)
        set_map_types_aside(converted)
        return ir.from_proto(converted)
    except (RuntimeError, version_converter.ConvertError, onnx.checker.ValidationError) as error:
        reason = str(error).strip().split("\n")[0][:300]
        raise UnsupportedOpset(f"the model cannot be brought to opset {opset}: {reason}") from None


def _resize_attributes(model: ir.Model) -> tuple[dict[str, str], ...]:
    """Return the sets of attributes to try on every Resize of the converted model."""
    old = model.opset_imports.get("", 0) < RESIZE_11
    resizes = (node.op_type in ("Upsample", "Resize") for node in ir.traversal.RecursiveGraphIterator(model.graph))
    return _BEFORE_RESIZE_11 if old and any(resizes) else _UNCHANGED


def _set_resize_attributes(model: ir.Model, attributes: dict[str, str]) -> None:
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        if node.op_type == "Resize":
            node.attributes.update({name: ir.AttrString(name, value) for name, value in attributes.items()})


def _expectation(model: ir.Model, session: Session, sample: Feeds | None) -> _Expectation | None:
    """Return inputs and outputs of the model before; None if there is no sample and no generated input fits."""
    tensors = random_tensors(model.graph)
    random = frozenset(number for number, value in enumerate(model.graph.outputs) if value.name in tensors)
    if sample is not None:
        with suppress(ModelError):  # the batch of the model may be fixed
            first = {name: array[:1] if array.ndim else array for name, array in sample.items()}
            return _Expectation(first, session.run(first), random)
        return _Expectation(sample, session.run(sample), random)
    for feeds in generated_feeds(model):
        with suppress(ModelError):  # the sizes may not fit each other
            return _Expectation(feeds, session.run(feeds), random)
    return None
