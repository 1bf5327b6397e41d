"""Broken bytes of a model end in an answer of ours, never in a library's error."""

import random
from contextlib import suppress

import pytest

from quant.errors import QuantdError, UnreadableModel, UnsupportedOpset
from quant.graph.inventory import inventory
from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise
from quant.runtime import Session


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
