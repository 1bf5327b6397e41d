"""The ceilings on the opset and the IR version of an exported model.

The export needs opset 21 for 4-bit codes and blocks. A model without them is brought to an earlier opset by onnx's
version converter, and checked by onnx's checker.
"""

import re

import onnx
from onnx import helper, version_converter

from quant.errors import UnsupportedOpset
from quant.spec import Export

_ASSERTION = re.compile(r"^\S+:\d+: \w+: Assertion `.*` failed: ")
"""The beginning of a message of onnx's converter, which names its source files."""
_IR_VERSIONS = {
    onnx.TensorProto.INT4: 10,
    onnx.TensorProto.UINT4: 10,
    onnx.TensorProto.INT2: 13,
    onnx.TensorProto.UINT2: 13,
}
"""The first IR version with a type of codes; other types are in all of them."""


def within_ceilings(exported: bytes, export: Export) -> bytes:
    """Return an exported model with an opset and an IR version that the spec allows.

    Raises:
        UnsupportedOpset: the model has what the allowed versions lack.
    """
    if export.max_opset is None and export.max_ir_version is None:
        return exported
    model = onnx.load_model_from_string(exported)
    if export.max_opset is not None and _opset(model) > export.max_opset:
        model = _converted(model, export.max_opset)
    if export.max_ir_version is not None and model.ir_version > export.max_ir_version:
        _lower_ir_version(model, export.max_ir_version)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _opset(model: onnx.ModelProto) -> int:
    return next(int(entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx"))


def _converted(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """Return the model at an earlier opset, with its metadata and an IR version of that opset."""
    try:
        converted = version_converter.convert_version(model, opset)
        del converted.graph.value_info[:]
        del converted.metadata_props[:]
        converted.metadata_props.extend(model.metadata_props)
        converted.ir_version = min(model.ir_version, helper.find_min_ir_version_for(list(converted.opset_import)))
        onnx.checker.check_model(converted, full_check=True)
    except (
        RuntimeError,
        version_converter.ConvertError,
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
    ) as error:
        reason = _ASSERTION.sub("", str(error).strip().split("\n")[0])[:300]
        raise UnsupportedOpset(
            f"the quantized model has opset {_opset(model)} and cannot be brought to max_opset {opset}: {reason}; "
            f"accepted: a later max_opset, or 8-bit codes without blocks, which need no opset {_opset(model)}"
        ) from None
    return converted


def _lower_ir_version(model: onnx.ModelProto, version: int) -> None:
    """Set the IR version in place."""
    types = {tensor.data_type for tensor in model.graph.initializer}
    needed = max((_IR_VERSIONS.get(data_type, 0) for data_type in types), default=0)
    if needed > version:
        raise UnsupportedOpset(
            f"the quantized model needs IR version {needed} for its codes of less than 8 bits, and max_ir_version is "
            f"{version}; accepted: max_ir_version {needed}, or weights.bits 8"
        )
    model.ir_version = version
