"""A small plan, for tests of what happens to plans."""

from quant.outcome.model_description import ModelDescription, OperatorCount, Port
from quant.outcome.plan import FileSize, Plan, PlannedLayer, PresetSize, WeightSqnr
from quant.outcome.report.sections import SkippedNode
from quant.spec import resolve

MODEL = ModelDescription(
    name="m.onnx", container="onnx", bytes=2000, ir_version=8, opsets={"ai.onnx": 17}, producer="pytorch 2.13.0",
    inputs=(Port(name="x", type="float32", shape=("N", 3, "?", 8), batch_axis=0),),
    outputs=(Port(name="y", type="float32", shape=None),), parameters=400,
    operators=(OperatorCount(operator="Conv", nodes=1, custom=False),), functions=(), external_data=(),
)  # fmt: skip
WEIGHT = WeightSqnr(sqnr_db=20.5, expected_sqnr_db=20.0, channels=64, of_channels=100)
SIZE = FileSize(bytes_before=2000, bytes_after=700, size_ratio=0.35, basis="structure")
LAYER = PlannedLayer(
    name="conv1", op="Conv", weight_shape=(4, 3, 3, 3), parameters=108, bits=4, granularity="channel", block_size=None,
    grid="uniform", clipping="auto", form="integer", kernel="integer convolution (QLinearConv)",
    distribution={"laplace": 4}, weight=WEIGHT, bytes_before=432, bytes_after=70, notes=("a note",),
)  # fmt: skip
PLAN = Plan(
    model=MODEL, spec=resolve({"preset": "int4"}).model_dump(mode="json"), spec_yaml="preset: int4\n",
    needs_calibration=True, needs_evaluation=False, size=SIZE, weight=WEIGHT, layers=(LAYER,),
    skipped=(SkippedNode(name="gather", op="Gather", reason="its weight is a vector"),),
    presets=(PresetSize(preset="int4", size=SIZE, weight=WEIGHT, needs_calibration=True),), warnings=("a warning",),
)  # fmt: skip
