"""The summary has the fields of the contract in their order, each with a unit and a description."""

from quant.outcome.summary import UNMEASURED, OutputFigures, SizeFigures, Summary

FIELDS = [
    "bytes_before", "bytes_after", "size_ratio", "layers", "quantized_layers", "weight_sqnr_db", "output_sqnr_db",
    "output_cosine", "top1_agreement", "top1_float", "top1_quantized", "worst_output", "task_metrics", "warnings",
    "seconds",
]  # fmt: skip


def test_the_fields_stand_in_the_order_of_the_contract():
    assert list(Summary.model_fields) == FIELDS


def test_every_field_has_a_description_and_every_figure_a_unit():
    for name, field in Summary.model_json_schema()["properties"].items():
        assert field["description"].endswith(".")
        assert name == "warnings" or field["x-unit"]


def test_the_ratio_is_that_of_the_sizes():
    assert SizeFigures.of(400, 100).size_ratio == 0.25


def test_the_drop_is_in_points_and_needs_labels():
    labelled = UNMEASURED.model_copy(update={"top1_float": 91.0, "top1_quantized": 89.5})
    assert labelled.top1_drop_points == 1.5
    assert UNMEASURED.top1_drop_points is None
    assert set(OutputFigures.model_fields) < set(Summary.model_fields)
