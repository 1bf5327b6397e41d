"""The size of a file is known before its weights are quantized: no constants are equal that may differ in the file."""

import numpy as np
import pytest

from quant.data.dataset import Dataset
from quant.search.candidates import assemble
from quant.search.context import Source, calibrate
from quant.search.format_bytes import export_size
from quant.search.format_quantizer import FormatQuantizer
from quant.search.formats import weight_formats
from quant.search.variants import Variant
from quant.spec import resolve
from tests.quant.onnx_text import model_of

LAYERS, CHANNELS = 4, 16
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def context():
    """Return a function that calibrates a chain of equal convolutions with large activations for a spec."""

    def run(spec):
        nodes = " ".join(
            f"c{number} = Conv <pads = [1, 1, 1, 1]> (r{number}, w{number}) r{number + 1} = Relu (c{number})"
            for number in range(LAYERS)
        )
        shape = f"float[n, {CHANNELS}, 6, 6]"
        weights = {f"w{number}": RNG.normal(size=(CHANNELS, CHANNELS, 3, 3)) for number in range(LAYERS)}
        model = model_of(f"net ({shape} r0) => ({shape} r{LAYERS}) {{ {nodes} }}", **weights)
        images = RNG.uniform(0, 255, (32, CHANNELS, 6, 6)).astype(np.float32)
        return calibrate(
            Variant("", model, {}), Dataset({"r0": images}, None, 32, 4), resolve(spec), Source(1, "0"), lambda *_: None
        )

    return run


@pytest.mark.parametrize("bias", ["int32", "float"])
@pytest.mark.parametrize("number", [0, 4, 6, 9, -1])
def test_no_file_is_larger_than_the_size_of_its_formats(context, bias, number):
    searched = context({"preset": "small", "export": {"bias": bias}})
    weights = weight_formats(searched.work, searched.spec)
    quantizer = FormatQuantizer(searched, weights)
    numbers = [number % len(weight.sections) for weight in weights]
    planned = export_size(searched, [layer for weight in quantizer.placeholders(numbers) for layer in weight])
    layers = [layer for weight in quantizer.layers(numbers, lambda *_: None) for layer in weight]
    shifts = {layer.layer.name: RNG.normal(size=CHANNELS) * 1e3 for layer in layers}
    model, _ = assemble(searched.model, layers, searched.first_ranges.ranges, shifts, searched.spec.export.opset)
    assert len(searched.export(model)) == planned
