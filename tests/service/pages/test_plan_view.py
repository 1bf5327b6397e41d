"""A plan is shown in words: size, error, the presets, the layers, and the nodes that stay as they are."""

from jobs.http_status import make_problem
from jobs.job import Status
from quant.outcome.model_description import ModelDescription
from quant.outcome.plan import FileSize, Plan, PlannedLayer, PresetSize, WeightSqnr
from quant.outcome.report.sections import SkippedNode
from service.pages.plan_view import plan_answer, plan_view
from service.plans.schemas import plan_out
from tests.service.pages.jobs import HOSTILE, a_job

SIZE = FileSize(bytes_before=1_000_000, bytes_after=250_000, size_ratio=0.25, basis="exact")
WEIGHT = WeightSqnr(sqnr_db=40.25, expected_sqnr_db=40.0, channels=64, of_channels=512)
UNKNOWN = WeightSqnr(sqnr_db=None, expected_sqnr_db=None, channels=0, of_channels=0, reason="no weight varies")
LAYER = PlannedLayer(
    name=HOSTILE, op="Conv", weight_shape=(16, 3, 3, 3), parameters=432, bits=4, granularity="channel", block_size=None,
    grid="kmeans", clipping="auto", form="folded", kernel="float", distribution={}, weight=UNKNOWN, bytes_before=1728,
    bytes_after=1000, notes=("a note",),
)  # fmt: skip
MODEL = ModelDescription(
    name="net.onnx", container="onnx", bytes=1_000_000, ir_version=8, opsets={}, producer="", inputs=(), outputs=(),
    parameters=432, operators=(), functions=(), external_data=(),
)  # fmt: skip


def a_plan(**fields):
    presets = (
        PresetSize(preset="int8", size=SIZE, weight=WEIGHT, needs_calibration=True),
        PresetSize(preset="int8-weights", size=SIZE, weight=UNKNOWN, needs_calibration=False),
    )
    defaults = {
        "model": MODEL, "spec": {"preset": "int8"}, "spec_yaml": "preset: int8\n", "needs_calibration": True,
        "needs_evaluation": False, "size": SIZE, "weight": WEIGHT, "layers": (LAYER,), "presets": presets,
        "skipped": (SkippedNode(name="n", op="Relu", reason="it has no weight"),), "warnings": ("odd",),
    }  # fmt: skip
    return Plan(**defaults | fields)


def test_a_plan_begins_with_size_error_and_the_data_that_it_needs():
    view = plan_view(a_plan())
    assert view.headline == (
        "250 kB, 25.0 % of 1 MB, with a weight SQNR of 40.2 dB. 1 layer to quantize, 1 node to leave as they are."
    )
    assert view.basis == "Size: exact. Weight SQNR: without data, on 64 of 512 output channels."
    assert view.needs == ("The job needs calibration data.",)
    assert (view.warnings, view.spec) == (("odd",), "preset: int8\n")


def test_an_unknown_error_has_its_reason():
    view = plan_view(a_plan(weight=UNKNOWN, needs_calibration=False, needs_evaluation=True))
    assert "SQNR" not in view.headline
    assert view.basis.endswith("No weight SQNR: no weight varies.")
    assert view.needs == ("The job needs evaluation data, because a gate is measured on them.",)


def test_presets_layers_and_nodes_are_rows():
    view = plan_view(a_plan())
    assert [(row.name, row.sqnr, row.needs_calibration, row.chosen) for row in view.presets] == [
        ("int8", "40.2 dB", True, True), ("int8-weights", "not known", False, False),
    ]  # fmt: skip
    (layer,) = view.layers
    assert (layer.name, layer.shape, layer.form, layer.size) == (
        HOSTILE,
        "16×3×3×3",
        "codes, floats once loaded",
        "1 kB",
    )
    assert view.skipped == (("n", "Relu", "it has no weight"),)


def test_a_plan_is_ready_or_pending_or_has_a_problem():
    problem = make_problem("model.unreadable", "The file is not a readable model", "cut short")
    assert plan_answer(plan_out(a_job(kind="plan", status=Status.QUEUED), None)).pending
    assert plan_answer(plan_out(a_job(kind="plan", status=Status.FAILED, error=problem), None)).problem == problem
    assert plan_answer(plan_out(a_job(kind="plan", status=Status.SUCCEEDED), a_plan())).plan.presets
