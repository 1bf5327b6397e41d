"""The client's tables of gates and metrics agree with the registries of the quantizer."""

import pytest

from docs import client_figures
from quant.outcome import artifacts as kinds
from quant.outcome.gates import GATES as REGISTERED_GATES
from quant.outcome.gates import GateResult
from quant.outcome.metrics import METRICS as REGISTERED_METRICS
from quant.outcome.task_figures import TASK_FIGURES
from quant.outcome.task_values import TaskValue
from quant.outcome.task_values import worst_entries as worst_task_values
from quantd import artifacts
from quantd.figures import GATES, METRICS, gate_failure, value_of, worst_entries
from tests.quant.outcome.summaries import summary


def task_value(figure, value, output):
    return TaskValue(
        name=figure.name, metric="m", output=output, reference="float", unit=figure.unit,
        better="higher" if figure.higher_is_better else "lower", samples=9, value=value,
    )  # fmt: skip


SUMMARIES = [
    summary(),
    summary(output_sqnr_db=20.0, output_cosine=0.9, top1_agreement=0.8, top1_float=90.0, top1_quantized=89.5,
            worst_output={"name": "y", "sqnr_db": 18.0}),
    *(
        summary(task_metrics=tuple(task_value(figure, *of) for figure in TASK_FIGURES for of in outputs))
        for outputs in ([(0.5, "y"), (0.25, "z")], [(0.5, "y"), (None, "z")])
    ),
]  # fmt: skip


def test_the_tables_are_up_to_date():
    assert client_figures.FILE.read_text() == client_figures.document(), "run python -m docs.client_figures"


@pytest.mark.parametrize("metric", REGISTERED_METRICS, ids=lambda metric: metric.name)
def test_every_metric_has_the_value_that_the_quantizer_gives_it(metric):
    for known in SUMMARIES:
        assert value_of(METRICS[metric.name], known.model_dump(mode="json")) == metric.figure(known)


@pytest.mark.parametrize("gate", REGISTERED_GATES, ids=lambda gate: gate.name)
@pytest.mark.parametrize("value", [None, 0.123456789])
def test_every_gate_fails_in_the_same_words(gate, value):
    result = GateResult(name=gate.name, limit=0.5, value=value, passed=False)
    assert gate_failure(result.model_dump()) == result.failure


def test_the_worst_output_of_every_figure_is_shown_in_the_same_words():
    for known in SUMMARIES:
        expected = [(entry.name, entry.text) for entry in worst_task_values(known.task_metrics)]
        shown = [(entry["name"], entry["value"]) for entry in worst_entries(known.model_dump(mode="json"))]
        assert [(name, METRICS[name].written(value)) for name, value in shown] == expected


def test_a_gate_of_a_newer_service_is_shown_without_a_unit():
    result = {"name": "min_beauty", "limit": 2.0, "value": 1.0, "passed": False}
    assert "min_beauty" not in GATES
    assert gate_failure(result).startswith("min_beauty is 1, which misses the limit by 1")


def test_the_artifacts_have_the_names_of_the_api():
    ours = {getattr(artifacts, name) for name in dir(artifacts) if name.isupper()}
    assert ours <= {kind.name for kind in kinds.ARTIFACTS}
