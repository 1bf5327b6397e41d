"""An ONNX file is read, or refused with a reason; broken bytes never end in a library's error."""

import random
from contextlib import suppress

import pytest
from onnx import helper

from quant.errors import QuantdError, UnreadableModel, UnsupportedFormat, UnsupportedOperator, UnsupportedOpset
from quant.graph.inventory import inventory
from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise
from quant.runtime import Session
from tests.quant.graph.models import layer_nodes, model_of


@pytest.mark.parametrize("seed", range(3))
def test_mutated_models_are_read_or_refused(examples, seed):
    source, chance = (examples / "digits.onnx").read_bytes(), random.Random(seed)
    for _ in range(60):
        broken = bytearray(source)
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(5000)
            broken[place if chance.random() < 0.5 else -place] = chance.randrange(256)
        with suppress(QuantdError):
            model = load(bytes(broken))
            Session(bytes(broken))
            inventory(normalise(model))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"stem.0.weight", b"stem.0.we\xffght", "not UTF-8"),
        (b"\x08\x08\x12", b"\x08\x0e\x12", "IR version 14"),
    ],
)
def test_what_nothing_could_write_or_run_is_refused(examples, old, new, message):
    data = (examples / "digits.onnx").read_bytes()
    assert old in data
    with pytest.raises((UnreadableModel, UnsupportedOpset), match=message):
        load(data.replace(old, new))


@pytest.mark.parametrize("data", [b"", b"not onnx at all", b"\x08\x08\x12\x00"])
def test_bytes_that_are_no_model_are_refused(data):
    with pytest.raises(UnreadableModel, match="accepted"):
        load(data)


def test_a_truncated_model_is_refused():
    node, initializers, shape, _ = layer_nodes("Conv")
    node.output[0] = "y"
    with pytest.raises(UnreadableModel, match="cut short"):
        load(model_of([node], initializers, {"x": shape})[:-100])


def test_an_archive_is_refused_by_what_it_is():
    with pytest.raises(UnsupportedFormat, match="zip"):
        load(b"PK\x03\x04rest")


@pytest.mark.parametrize("opset", [6, 27])
def test_an_opset_outside_the_range_is_refused(opset):
    with pytest.raises(UnsupportedOpset, match="7 to 26"):
        load(model_of([helper.make_node("Relu", ["x"], ["y"])], [], {"x": ["N"]}, opset=opset))


def test_a_custom_operator_is_refused_by_name():
    node = helper.make_node("Decode", ["x"], ["y"], domain="acme")
    with pytest.raises(UnsupportedOperator, match="acme::Decode"):
        load(model_of([node], [], {"x": ["N"]}, domain="acme"))
