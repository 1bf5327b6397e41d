"""The bytes of an exported model, with metadata about its origin."""

from importlib import metadata

import onnx
import onnx_ir as ir

from quant.digests import canonical_json, sha256_of
from quant.graph.signature import write_map_types
from quant.spec import Spec

VERSION = metadata.version("quantd")
"""The version of this package, which exported models and manifests name."""


def stamp(model: ir.Model, spec: Spec, origin: str) -> bytes:
    """Return the model as bytes, with its origin under `quantd.*` in the metadata; equal input gives equal bytes.

    Args:
        model: the quantized model; its metadata are changed in place.
        spec: the spec that it was quantized by.
        origin: the SHA-256 of the upload, in hexadecimal.
    """
    model.producer_name, model.producer_version = "quantd", VERSION
    model.metadata_props.update(
        {
            "quantd.version": VERSION,
            "quantd.spec_sha256": sha256_of(canonical_json(spec.model_dump(mode="json"))),
            "quantd.source_sha256": origin,
        }
    )
    proto: onnx.ModelProto = ir.to_proto(model)
    write_map_types(model, proto)
    del proto.graph.value_info[:]  # shapes of intermediate tensors, which every reader infers for itself
    data: bytes = proto.SerializeToString(deterministic=True)
    return data
