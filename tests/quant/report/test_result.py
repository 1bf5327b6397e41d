"""The result of a run: its summary, the figures for its gates, and the samples that it used."""

import numpy as np
import pytest

from quant.data.dataset import Dataset
from quant.digests import FileDigest
from quant.graph.inventory import Skipped
from quant.outcome.report.layer import LayerEntry, WeightErrors
from quant.report.result import Result, SignalAndNoise, samples_used


def weight_errors(sqnr_db):
    return WeightErrors(mae=0.1, mse=0.1, sqnr_db=sqnr_db, mae_expected=None, mse_expected=None, expected_reason=None)


@pytest.fixture
def result():
    entries = [LayerEntry.model_construct(weight=weight_errors(sqnr_db)) for sqnr_db in (30.0, 20.0)]
    files = {"model.onnx": FileDigest(100, "a"), "model.onnx.data": FileDigest(150, "b")}
    skipped = [Skipped("fc", "Gemm", "a rule skips it")]
    return Result(files, entries, {}, skipped, SignalAndNoise(1000.0, 1.0), [], samples_used(None, None))


def test_the_summary_counts_all_files_and_layers(result):
    summary = result.summary(1000)
    assert (summary.bytes_before, summary.bytes_after, summary.size_ratio) == (1000, 250, 0.25)
    assert (summary.layers, summary.quantized_layers) == (3, 2)
    assert summary.weight_sqnr_db == pytest.approx(30)
    assert summary.output_sqnr_db is summary.seconds is None


def test_gates_see_every_layer(result):
    figures = result.gate_figures(result.summary(1000), None)
    assert figures.layer_sqnr_db == [30.0, 20.0]
    assert figures.sizes.size_ratio == 0.25


def test_samples_are_counted_by_their_role():
    data = Dataset({"x": np.zeros((20, 3), np.float32)}, None, 20, 8)
    assert samples_used(data, None) == {"calibration": {"given": 20, "used": 20, "batch": 8}, "evaluation": None}
