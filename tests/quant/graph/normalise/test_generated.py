"""Generated inputs fit the model, and are limited."""

import pytest
from onnx import helper

from quant.errors import ModelError
from quant.graph.load.onnx_file import load
from quant.graph.normalise.generated import generated_feeds
from quant.runtime import Session
from tests.quant.graph.models import model_of


def accepts(session, feeds):
    try:
        session.run(feeds)
    except ModelError:
        return False
    return True


@pytest.mark.data
@pytest.mark.parametrize(
    "name",
    ["basic_pitch", "dtln_1", "dtln_2", "magika_v3_3", "oww_alexa_v0.1", "oww_melspectrogram", "ppocrv3_det",
     "silero_vad", "silero_vad_half", "stories260K", "ultraface_rfb320", "yunet_n_dynamic"],
)  # fmt: skip
def test_every_real_model_accepts_some_generated_inputs(data, name):
    path = data / "coverage" / f"{name}.onnx"
    session = Session(path)
    assert any(accepts(session, feeds) for feeds in generated_feeds(load(path)))


@pytest.mark.parametrize("shape", [None, [1, 2**20, 2**20]])
def test_nothing_is_generated_for_an_unknown_rank_or_too_many_elements(shape):
    model = load(model_of([helper.make_node("Relu", ["x"], ["y"])], inputs={"x": shape}))
    assert list(generated_feeds(model)) == []
