"""Plans of recurrent networks."""

import numpy as np
import pytest

from quant.errors import SpecError
from quant.inputs import Inputs
from quant.plan.plan import plan_model
from tests.quant.onnx_text import proto_of
from tests.quant.plan.test_plan import job_of, plan_of, planned, quantized

TEXT = """
cell (float[1, 1, 12] x, float[1, 1, 48] h) => (float[1, 1, 48] h_out) {
  y, h_out = GRU <hidden_size = 48> (x, w, r, , , h)
}
"""


@pytest.fixture
def cell(tmp_path):
    normal = np.random.default_rng(0).standard_normal
    path = tmp_path / "cell.onnx"
    path.write_bytes(proto_of(TEXT, w=normal((1, 144, 12)), r=normal((1, 144, 48))))
    return path


@pytest.mark.parametrize("preset", ["int8-weights", "int4-weights"])
def test_a_plan_has_the_blocks_and_the_size_of_its_job(cell, tmp_path, preset):
    spec = {"preset": preset, "keep_float": "none"}
    plan = plan_of(cell, spec)
    summary, report = job_of(cell, spec, tmp_path / "out")
    assert planned(plan) == quantized(report)
    assert plan.layers[0].granularity == "block"
    assert plan.size.bytes_after == summary.bytes_after


def test_states_that_do_not_match_are_refused_with_their_place(cell):
    with pytest.raises(SpecError, match="'cache' is no input of the model") as refused:
        plan_model(Inputs(cell, "cell.onnx", {"states": {"cache": "h_out"}}), lambda *_: None)
    assert [fault.pointer for fault in refused.value.errors] == ["/states/cache"]
