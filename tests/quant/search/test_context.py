"""Contexts of a search: what is known with calibration data and without."""

import numpy as np
import onnx
import pytest

from quant.search.context import HELD_OUT, HELD_OUT_FOR_GATES, NO_RANGES, CalibratedContext, DataFreeContext


def test_without_calibration_data_no_activation_is_quantized(context):
    data_free = context({"preset": "int8-weights"}, calibrated=False)
    assert isinstance(data_free, DataFreeContext)
    assert data_free.range_options == {"": NO_RANGES}
    assert len(data_free.work) == 7


@pytest.mark.parametrize(
    ("spec", "every"),
    [
        ({}, HELD_OUT),
        ({"objective": "smallest_within_gates", "gates": {"min_output_sqnr_db": 20}}, HELD_OUT_FOR_GATES),
    ],
)
def test_the_calibration_set_is_split_in_fitting_and_held_out_batches(context, spec, every):
    calibrated = context({"preset": "int8", **spec})
    assert isinstance(calibrated, CalibratedContext)
    batches = set(calibrated.calibration.numbers)
    assert set(calibrated.held_out.numbers) == {number for number in batches if number % every == every - 1}
    assert set(calibrated.fitting.numbers) == batches - set(calibrated.held_out.numbers)


@pytest.mark.parametrize(
    ("spec", "layers"),
    [
        ({"weights": {"clipping": "auto"}}, 7),
        ({"weights": {"clipping": "minmax"}}, 0),
        ({"weights": {"clipping": "minmax"}, "budget": {"max_size_ratio": 0.3}}, 7),
    ],
)
def test_moments_are_measured_where_they_are_needed(context, spec, layers):
    assert len(context({"preset": "int8", **spec}).moments) == layers


def test_each_rule_of_activation_ranges_is_an_option(context):
    calibrated = context({"preset": "int8", "activations": {"clipping": "auto"}})
    suffixes = list(calibrated.range_options)
    assert suffixes[0] == ""
    assert ", ranges by mse" in suffixes
    assert calibrated.first_ranges is calibrated.range_options[""]
    assert context({"preset": "int8-weights"}).range_options == {"": NO_RANGES}


def test_recorded_and_computed_outputs_of_the_float_model_are_equal(context):
    calibrated = context({"preset": "int8"})
    assert set(calibrated.recorded) == set(calibrated.held_out.numbers)
    recorded = [outputs[0] for outputs in calibrated.float_outputs(calibrated.held_out)]
    whole = dict(zip(calibrated.calibration.numbers, calibrated.float_outputs(calibrated.calibration), strict=True))
    for number, outputs in zip(calibrated.held_out.numbers, recorded, strict=True):
        np.testing.assert_allclose(whole[number][0], outputs, rtol=1e-5, atol=1e-5)
        assert whole[number] is calibrated.recorded[number]


def test_a_file_is_stamped_and_under_a_budget_its_names_are_short(context):
    plain, budget = context({"preset": "int8"}), context({"preset": "int8", "budget": {"max_size_ratio": 1}})
    files = [calibrated.export(calibrated.model.clone()) for calibrated in (plain, budget)]
    assert len(files[1]) < len(files[0])
    for file in files:
        metadata = {entry.key: entry.value for entry in onnx.load_model_from_string(file).metadata_props}
        assert metadata["quantd.source_sha256"] == "0" * 64
