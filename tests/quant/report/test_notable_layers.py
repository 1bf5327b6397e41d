"""The layers that a short form of the report names."""

from quant.report.notable_layers import MAX_DIAGNOSED, notable_layers
from tests.quant.reports import digits_report


def diagnosed(report, *names):
    return report.model_copy(update={"diagnosis": report.diagnosis.model_copy(update={"layers": names})})


def test_the_largest_shares_of_the_error_come_first():
    report = diagnosed(digits_report("int4"))
    shares = [layer.error_share for layer in notable_layers(report)]
    largest = sorted((layer.error_share for layer in report.layers), reverse=True)
    assert shares == largest[: len(report.worst_layers)]


def test_without_shares_the_least_sqnr_comes_first():
    report = diagnosed(digits_report("int4-weights", calibrated=False, evaluated=False))
    assert [layer.name for layer in notable_layers(report)] == list(report.worst_layers)


def test_layers_of_the_diagnosis_follow_once():
    report = digits_report("int4")
    worst = [layer.name for layer in notable_layers(diagnosed(report))]
    others = [layer.name for layer in report.layers if layer.name not in worst]
    assert [layer.name for layer in notable_layers(diagnosed(report, worst[0], *others))] == [*worst, *others]


def test_many_layers_of_a_diagnosis_are_cut():
    report = digits_report("int4-weights", calibrated=False, evaluated=False)
    report = report.model_copy(update={"worst_layers": ()})
    names = [layer.name for layer in report.layers]
    assert len(names) > MAX_DIAGNOSED
    assert [layer.name for layer in notable_layers(diagnosed(report, *names))] == names[:MAX_DIAGNOSED]
