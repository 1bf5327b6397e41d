"""Values of task figures: the worst output, their texts, and the gates on them."""

import pytest

from quant.outcome.gates import GATES, GateFigures, check_gates
from quant.outcome.summary import UNMEASURED, SizeFigures
from quant.outcome.task_figures import CHAR_ERROR_RATE, TASK_FIGURES, TEXT_EXACT
from quant.outcome.task_values import TaskValue, worst_entries, worst_loss, worst_value
from quant.spec import Gates


def value(figure, number, output="text", **others):
    better = "higher" if figure.higher_is_better else "lower"
    fields = {"metric": "ctc_text", "reference": "float", "unit": figure.unit, "better": better, "samples": 40}
    return TaskValue(name=figure.name, output=output, value=number, **fields | others)


VALUES = (
    value(TEXT_EXACT, 0.9, loss=0.1, low=0.77, high=0.96),
    value(TEXT_EXACT, 0.8, "other", loss=0.2),
    value(CHAR_ERROR_RATE, 0.02, loss=0.01, reference="labels", float_value=0.01, low=-0.001, high=0.03),
    value(CHAR_ERROR_RATE, 0.01, "other", loss=0.03),
)


def test_the_worst_output_counts():
    assert (worst_value(VALUES, TEXT_EXACT), worst_loss(VALUES, TEXT_EXACT)) == (0.8, 0.2)
    assert (worst_value(VALUES, CHAR_ERROR_RATE), worst_loss(VALUES, CHAR_ERROR_RATE)) == (0.02, 0.03)
    assert [entry.output for entry in worst_entries(VALUES)] == ["other", "text"]


def test_a_figure_that_cannot_be_formed_is_the_worst():
    broken = value(TEXT_EXACT, None, "broken", reason="not finite")
    assert worst_value((*VALUES, broken), TEXT_EXACT) is None
    assert worst_entries((*VALUES, broken))[0] is broken
    assert (broken.text, broken.note) == ("not measured", "output broken: not finite")


def test_texts_have_units_references_and_intervals():
    assert VALUES[0].text == "90.0 %"
    assert VALUES[0].note == "output text, against the float model; 95 % interval 77.0 % to 96.0 %; 40 samples"
    assert VALUES[2].note == (
        "output text, against the targets; float 0.01; 95 % interval of the loss −0.001 to 0.03; 40 samples"
    )


@pytest.mark.parametrize(
    ("name", "limit", "passed"),
    [
        ("min_text_exact", 0.8, True),
        ("min_text_exact", 0.85, False),
        ("max_text_exact_drop", 0.2, True),
        ("max_text_exact_drop", 0.15, False),
        ("max_char_error_rate", 0.02, True),
        ("max_char_error_rate_rise", 0.02, False),
        ("min_map", 0.1, False),
    ],
)
def test_a_figure_has_two_gates(name, limit, passed):
    outputs = UNMEASURED.model_copy(update={"task_metrics": VALUES})
    (result,) = check_gates(Gates(**{name: limit}), GateFigures(SizeFigures.of(2, 1), outputs, []))
    assert result.passed is passed


def test_every_figure_is_in_the_table_of_gates():
    names = {gate.name for gate in GATES if gate.of_task}
    assert names == {name for figure in TASK_FIGURES for name in (figure.gate_name, figure.loss_gate_name)}
