"""The bytes of an exported model and its metadata."""

import onnx

from quant.export.serialize import VERSION, stamp
from quant.spec import resolve
from tests.quant.export.models import normal
from tests.quant.onnx_text import model_of

TEXT = "net (float[N, 4] x) => (float[N, 4] y) { y = MatMul (x, w) }"


def test_equal_input_gives_equal_bytes():
    weight = normal(4, 4)
    spec = resolve({"preset": "int8"})
    assert stamp(model_of(TEXT, w=weight), spec, "0" * 64) == stamp(model_of(TEXT, w=weight), spec, "0" * 64)


def test_the_metadata_tell_specs_and_uploads_apart():
    specs = [resolve({"preset": preset}) for preset in ("int8", "int4-weights")]
    models = [onnx.load_model_from_string(stamp(model_of(TEXT, w=normal(4, 4)), spec, "0" * 64)) for spec in specs]
    metadata = [{entry.key: entry.value for entry in model.metadata_props} for model in models]
    assert metadata[0]["quantd.spec_sha256"] != metadata[1]["quantd.spec_sha256"]
    for model, entries in zip(models, metadata, strict=True):
        assert (model.producer_name, model.producer_version) == ("quantd", VERSION)
        assert entries["quantd.source_sha256"] == "0" * 64
        assert not model.graph.value_info
