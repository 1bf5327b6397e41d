"""Bringing a model to a later opset: by onnx's converter, believed only where the outputs stay the same.

Requires: no local functions. Ensures: the model's outputs on the sample, or on inputs made for it, are those that it
gave before. onnx's converter takes what Upsample and Resize computed before opset 11 for what Resize computes after
it; the attributes that say so are set here.
"""

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import version_converter

from quant.errors import ModelError, UnsupportedOpset
from quant.graph.normalise.compare import difference
from quant.graph.normalise.generated import generated_feeds
from quant.graph.weightless import Weightless, give_weights_back, weightless
from quant.runtime import Feeds, Session

RESIZE_11 = 11
"""The first opset whose Resize says how it maps coordinates; before, it was this way and no other."""
_BEFORE_RESIZE_11 = (
    {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "ceil"},  # where it shrinks
)


def at_opset(
    model: ir.Model,
    opset: int,
    sample: Feeds | None = None,
    reference: Session | None = None,
    *,
    compare: bool = True,
) -> ir.Model:
    """The model at `opset`, or the model itself where it is of that one or a later.

    Nothing is run unless it is to `compare`, with `reference`, which is the model loaded, or is made here.

    Raises:
        UnsupportedOpset: onnx cannot convert it, or what it makes computes something else or, uncompared, may do so.
        ModelError: ONNX Runtime cannot load the model as it is.
    """
    if model.opset_imports.get("", 0) >= opset:
        return model
    before = weightless(model)
    if not compare:
        return _uncompared(model, before.proto, opset)
    reference = reference or Session(before.proto.SerializeToString(), weights=before.arrays)
    feeds, expected = _run_before(model, reference, sample)
    fault: str | None = None
    for attributes in _repairs(model):
        converted = _convert(before.proto, opset)
        for node in ir.traversal.RecursiveGraphIterator(converted.graph):
            if node.op_type == "Resize":
                node.attributes.update({name: ir.AttrString(name, value) for name, value in attributes.items()})
        after = Weightless(ir.to_proto(converted), before.weights)
        fault = None if feeds is None else _fault(after, feeds, expected)
        if fault is None:
            give_weights_back(converted, model)
            return converted
    raise UnsupportedOpset(f"the model of opset {model.opset_imports.get('')} cannot be brought to {opset}: "
                           f"onnx's converter changes what it computes ({fault}); "
                           f"accepted: a model exported at opset {opset}")  # fmt: skip


def _uncompared(model: ir.Model, before: onnx.ModelProto, opset: int) -> ir.Model:
    if _repairs(model) is _BEFORE_RESIZE_11:
        raise UnsupportedOpset(f"the model is of opset {model.opset_imports.get('')} and resizes, which onnx's "
                               "converter changes, and it is too large to be run and compared; "
                               f"accepted: a model exported at opset {opset}")  # fmt: skip
    converted = _convert(before, opset)
    give_weights_back(converted, model)
    return converted


def _repairs(model: ir.Model) -> tuple[dict[str, str], ...]:
    old = model.opset_imports.get("", 0) < RESIZE_11
    resizes = (node.op_type in ("Upsample", "Resize") for node in ir.traversal.RecursiveGraphIterator(model.graph))
    return _BEFORE_RESIZE_11 if old and any(resizes) else ({},)


def _convert(before: onnx.ModelProto, opset: int) -> ir.Model:
    try:
        return ir.from_proto(version_converter.convert_version(before, opset))
    except (RuntimeError, version_converter.ConvertError, onnx.checker.ValidationError) as error:
        first = str(error).strip().split("\n")[0][:300]
        raise UnsupportedOpset(f"the model cannot be brought to opset {opset}: {first}") from None


def _run_before(
    model: ir.Model, session: Session, sample: Feeds | None
) -> tuple[Feeds | None, list[NDArray[np.generic]]]:
    """Inputs that the model takes, and its outputs for them; None where none that were made for it fit."""
    if sample is not None:
        with suppress(ModelError):  # its batch may be fixed
            first = {name: array[:1] if array.ndim else array for name, array in sample.items()}
            return first, session.run(first)
        return sample, session.run(sample)
    for feeds in generated_feeds(model):
        with suppress(ModelError):  # sizes that do not fit each other
            return feeds, session.run(feeds)
    return None, []


def _fault(after: Weightless, feeds: Feeds, expected: Sequence[NDArray[np.generic]]) -> str | None:
    try:
        session = Session(after.proto.SerializeToString(), "the converted model", weights=after.arrays)
        return difference(expected, session.run(feeds))
    except ModelError as error:
        return error.detail
