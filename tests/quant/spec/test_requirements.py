"""A spec names the data that it needs."""

import pytest

from quant.errors import DataRequired
from quant.spec import adapt_to_data, require_data, resolve

QUALITY = {"min_layer_sqnr_db": 9}


@pytest.mark.parametrize(("raw", "pointers"), [
    ({}, ["/activations"]),
    ({"activations": {"mode": "auto"}}, ["/activations"]),
    ({"preset": "int8-weights", "objective": "smallest_within_gates", "gates": QUALITY}, ["/objective"]),
    ({"preset": "int8-weights", "bias_correction": "calibrated"}, ["/bias_correction"]),
    ({"preset": "int8-weights", "weights": {"rounding": "error_feedback"}}, ["/weights/rounding"]),
    ({"preset": "int8-weights", "layers": [{"match": "a", "skip": True},
                                           {"match": "b", "weights": {"rounding": "error_feedback"}}]},
     ["/layers/1/weights/rounding"]),
    ({"preset": "int8-weights", "gates": {"min_top1_agreement": 1, "max_size_ratio": 0.5}},
     ["/gates/min_top1_agreement"]),
])  # fmt: skip
def test_every_option_without_its_data_is_pointed_at(raw, pointers):
    with pytest.raises(DataRequired) as caught:
        require_data(resolve(raw), calibration=False, evaluation=False)
    assert [fault.pointer for fault in caught.value.errors] == pointers
    require_data(resolve(raw), calibration=True, evaluation=True)


@pytest.mark.parametrize("raw", [{"preset": "int4-weights"}, {"preset": "int8", "activations": {"mode": "dynamic"}}])
def test_weights_alone_and_dynamic_activations_need_no_data(raw):
    require_data(resolve(raw), calibration=False, evaluation=False)


@pytest.mark.parametrize("preset", ["small", "smaller", "smallest"])
def test_activations_that_may_stay_in_float_need_no_data(preset):
    spec = resolve({"preset": preset})
    require_data(spec, calibration=False, evaluation=False)
    assert adapt_to_data(spec, calibrated=True) == spec
    assert adapt_to_data(spec, calibrated=False).activations is None
    required = resolve({"preset": preset, "activations": {"without_data": "refuse"}})
    assert adapt_to_data(required, calibrated=False) == required
    with pytest.raises(DataRequired):
        require_data(required, calibration=False, evaluation=False)
