"""The digits network, calibrated for a spec."""

import pytest

from quant.data.read import read_dataset
from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise
from quant.search.context import Source, calibrate
from quant.search.variants import Variant
from quant.spec import resolve


@pytest.fixture(scope="module")
def context(examples):
    """Return a function that makes the context of a search for a spec, with calibration data or without."""

    def run(spec, calibrated=True, suffix=""):
        resolved = resolve(spec)
        model = normalise(load(examples / "digits.onnx"), resolved.export.opset)
        data = read_dataset(examples / "digits_calibration.npz", model) if calibrated else None
        source = Source((examples / "digits.onnx").stat().st_size, "0" * 64)
        return calibrate(Variant(suffix, model, {}), data, resolved, source, lambda *_: None)

    return run
