"""The exported model as bytes, stamped with where it came from."""

from importlib import metadata

import onnx
import onnx_ir as ir

from quant.digests import canonical_json, sha256_of
from quant.spec import Spec

VERSION = metadata.version("quantd")


def stamp(model: ir.Model, spec: Spec, origin: str) -> bytes:
    """The model as bytes, with the `quantd.*` keys that tell where it came from; equal input gives equal bytes.

    `origin` is the SHA-256 of the upload.
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
    del proto.graph.value_info[:]  # inferred shapes of intermediate tensors: any reader infers them again
    data: bytes = proto.SerializeToString(deterministic=True)
    return data
