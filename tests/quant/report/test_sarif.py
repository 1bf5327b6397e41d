"""The report as SARIF, checked against the published JSON Schema of SARIF 2.1.0.

`sarif-2.1.0-rtm.5.json` is the schema as npm's package @microsoft/jest-sarif 1.0.0-beta.0 (MIT) holds it.
"""

import json
from pathlib import Path
from urllib.parse import unquote

import pytest
from jsonschema import Draft4Validator

from quant.outcome.gates import GATES
from quant.report.notable_layers import notable_layers
from quant.report.sarif import WORST_LAYER, report_sarif
from tests.quant.reports import digits_report, renamed

SCHEMA = Draft4Validator(json.loads((Path(__file__).parent / "sarif-2.1.0-rtm.5.json").read_text()))


def log_of(report):
    log = json.loads(report_sarif(report))
    SCHEMA.validate(log)
    return log["runs"][0]


def test_the_schema_refuses_other_documents():
    log = json.loads(report_sarif(digits_report("int4")))
    log["runs"][0]["results"][0]["level"] = "bad"
    assert not SCHEMA.is_valid(log)


def test_a_failed_gate_is_an_error_and_the_worst_layers_are_warnings():
    report = digits_report("int4")
    results = log_of(report)["results"]
    assert [(result["ruleId"], result["level"]) for result in results] == [
        ("min_output_sqnr_db", "error"),
        *[(WORST_LAYER, "warning")] * len(notable_layers(report)),
    ]
    assert "which misses the limit by 3.56 dB; accepted: at least 30 dB" in results[0]["message"]["text"]
    layers = [result["locations"][0]["logicalLocations"][0]["name"] for result in results[1:]]
    assert layers == [layer.name for layer in notable_layers(report)]


def test_without_a_failed_gate_the_worst_layers_are_notes():
    for report in (digits_report("int8"), digits_report("int4-weights", calibrated=False, evaluated=False)):
        results = log_of(report)["results"]
        assert {(result["ruleId"], result["level"]) for result in results} == {(WORST_LAYER, "note")}


def test_a_gate_without_a_figure_is_an_error():
    report = digits_report("int4")
    gate = report.gates[0].model_copy(update={"value": None, "margin": None})
    text = log_of(report.model_copy(update={"gates": (gate,)}))["results"][0]["message"]["text"]
    assert text == "min_output_sqnr_db was not measured; accepted: at least 30 dB."


def test_every_rule_has_a_help_text_and_every_result_its_rule():
    run = log_of(digits_report("int4"))
    rules = run["tool"]["driver"]["rules"]
    assert {rule["id"] for rule in rules} == {WORST_LAYER, *(gate.name for gate in GATES if not gate.is_timed)}
    for rule in rules:
        texts = [rule[key]["text"] for key in ("shortDescription", "fullDescription", "help")]
        assert all(text.endswith(".") for text in texts)
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in run["results"])


def test_the_model_is_the_artifact():
    report = digits_report("int4")
    run = log_of(report)
    (artifact,) = run["artifacts"]
    assert artifact["hashes"] == {"sha-256": report.model.sha256}
    assert artifact["length"] == report.model.bytes
    places = [result["locations"][0]["physicalLocation"]["artifactLocation"] for result in run["results"]]
    assert all(place == {"uri": "digits.onnx", "index": 0} for place in places)


def test_fingerprints_differ_between_findings_and_stay_between_runs():
    prints = [result["partialFingerprints"]["quantd/v1"] for result in log_of(digits_report("int4"))["results"]]
    assert len(set(prints)) == len(prints)
    again = {result["partialFingerprints"]["quantd/v1"] for result in log_of(digits_report("int8"))["results"]}
    assert again & set(prints)


@pytest.mark.parametrize("name", ["[x](https://example.com)", "{0}", "a b/ü#?%.onnx", "../../etc", "\\[x](y)", "a\nb"])
def test_a_name_is_neither_a_link_nor_a_placeholder_nor_another_file(name):
    run = log_of(renamed(digits_report("int4"), name))
    uri = run["artifacts"][0]["location"]["uri"]
    assert unquote(uri) == name
    assert "/" not in uri
    texts = [result["message"]["text"] for result in run["results"]]
    escaped = name.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").replace("{", "{{").replace("}", "}}")
    assert any(f"layer {escaped} has" in text for text in texts)
