"""Plans and inspections in at most 80 columns; names are never cut."""

import io

from rich.console import Console

from quant.outcome.model_description import ExternalFile, OperatorCount
from quant.outcome.plan import InspectedLayer, Inspection, Refusal, WeightSqnr
from quantd.plan_rows import inspection_rows, plan_rows
from quantd.rows import print_rows
from tests.plan_sample import LAYER, MODEL, PLAN

LONG = "/encoder/" + "layer/" * 20 + "MatMul"


def printed(rows, document):
    """Print the rows of a document as the API sends it."""
    stream = io.StringIO()
    print_rows(Console(file=stream, width=80, highlight=False), rows(document.model_dump(mode="json")))
    return stream.getvalue()


def test_a_plan_fits_80_columns():
    text = printed(plan_rows, PLAN)
    assert max(map(len, text.splitlines())) <= 80
    for part in (
        "35.0 %",
        "20.5",
        "QLinearConv",
        "conv1",
        "a note: conv1",
        "a warning",
        "gather (Gather)",
        "64 of 100",
    ):
        assert part in text


def test_a_long_name_is_whole():
    plan = PLAN.model_copy(update={"layers": (LAYER.model_copy(update={"name": LONG}),)})
    assert LONG in printed(plan_rows, plan)


def test_a_figure_that_was_not_formed_has_a_reason():
    missing = WeightSqnr(sqnr_db=None, expected_sqnr_db=None, channels=0, of_channels=9, reason="too large")
    text = printed(plan_rows, PLAN.model_copy(update={"weight": missing, "needs_calibration": False}))
    assert "not formed: too large" in text
    assert "needs no data" in text


def test_an_inspection_shows_files_custom_operators_and_the_refusal():
    model = MODEL.model_copy(
        update={
            "operators": (OperatorCount(operator="acme::Odd", nodes=2, custom=True),),
            "external_data": (ExternalFile(location="w.bin", tensors=3, bytes=None),),
            "functions": ("local::f",),
        }
    )
    layer = InspectedLayer(
        name=LONG, op="MatMul", weight_shape=(4, 5), parameters=20, bytes=80, kernel="integer (QGemm)"
    )
    refusal = Refusal(code="model.unsupported_operator", detail="no kernel")
    text = printed(inspection_rows, Inspection(model=model, layers=(layer,), skipped=(), refusal=refusal))
    for part in (
        "w.bin: missing, 3 weights",
        "acme::Odd 2",
        "does not have these operators",
        "local::f",
        LONG,
        "4 x 5",
    ):
        assert part in text
    assert "model.unsupported_operator: no kernel" in text
