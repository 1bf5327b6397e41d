"""The report as SARIF 2.1.0: failed gates and the worst layers, as tools for code review show findings."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import quote

from quant.outcome.better import Better
from quant.outcome.gates import GATES, Gate
from quant.outcome.report import Report
from quant.outcome.report.layer import LayerEntry
from quant.outcome.report.sections import GateEntry
from quant.report.notable_layers import notable_layers
from quant.report.page.texts import decibels, percent

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
WORST_LAYER = "worst-layer"
"""The id of the rule on layers; the rule of a gate has the gate's name."""

Level = Literal["error", "warning", "note"]


def report_sarif(report: Report) -> bytes:
    """Return the SARIF log: an error for each failed gate, and the worst layers.

    The worst layers are warnings where a gate failed, since one of them is the place to begin, and notes otherwise.
    A passed gate is no finding and is left out. The model is the artifact, and a layer a logical location within it.
    """
    rules = _rules()
    numbers = {rule["id"]: number for number, rule in enumerate(rules)}
    results = [*_gate_results(report), *_layer_results(report)]
    run = {
        "tool": {"driver": {"name": "quantd", "version": report.provenance.quantd, "rules": rules}},
        "automationDetails": {"id": f"quantd/{report.model.name}/"},
        "artifacts": [
            {
                "location": {"uri": _uri(report)},
                "length": report.model.bytes,
                "roles": ["analysisTarget"],
                "hashes": {"sha-256": report.model.sha256},
            }
        ],
        "results": [{**result, "ruleIndex": numbers[result["ruleId"]]} for result in results],
        "properties": {"verdict": report.verdict, "summary": report.summary.model_dump(mode="json")},
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return (json.dumps(log, indent=1, allow_nan=False) + "\n").encode()


def _rules() -> list[dict[str, Any]]:
    return [*(_gate_rule(gate) for gate in GATES if not gate.is_timed), _layer_rule()]


def _gate_rule(gate: Gate) -> dict[str, Any]:
    side = "least" if gate.better is Better.HIGHER else "greatest"
    help_text = (
        f"{gate.description} The limit, set in the section `gates` of the spec, is the {side} accepted value. "
        "The report names the worst layers: give them more bits or leave them in float, or change the limit."
    )
    return _rule(gate.name, f"The gate {gate.name} failed.", gate.description, help_text, "error")


def _layer_rule() -> dict[str, Any]:
    return _rule(
        WORST_LAYER,
        "The layer is one of the worst.",
        "The layer is among the five with the least SQNR at their outputs, or of their weights where no output was "
        "compared, or it causes most of the model's output error.",
        "Raise the layer's bits or leave it in float by an entry of the spec's `layers`. The report shows the gain and "
        "the bytes of each alternative.",
        "note",
    )


def _rule(name: str, short: str, full: str, help_text: str, level: Level) -> dict[str, Any]:
    return {
        "id": name,
        "shortDescription": {"text": short},
        "fullDescription": {"text": full},
        "help": {"text": help_text},
        "defaultConfiguration": {"level": level},
    }


def _gate_results(report: Report) -> Iterator[dict[str, Any]]:
    for gate in report.gates:
        if not gate.passed:
            figures = {"value": gate.value, "limit": gate.limit, "margin": gate.margin}
            yield _result(report, gate.name, "error", _gate_message(gate), None, figures)


def _gate_message(gate: GateEntry) -> str:
    unit = gate.unit and f" {gate.unit}"
    accepted = f"accepted: {Better(gate.better).limit_words} {gate.limit:g}{unit}"
    if gate.value is None or gate.margin is None:
        return f"{gate.name} was not measured; {accepted}."
    return f"{gate.name} is {gate.value:.6g}{unit}, which misses the limit by {-gate.margin:.3g}{unit}; {accepted}."


def _layer_results(report: Report) -> Iterator[dict[str, Any]]:
    level: Level = "warning" if report.verdict == "fail" else "note"
    for layer in notable_layers(report):
        figures = {
            "bits": layer.bits,
            "weight_sqnr_db": layer.weight.sqnr_db,
            "output_sqnr_db": layer.output and layer.output.sqnr_db,
            "error_share": layer.error_share,
        }
        yield _result(report, WORST_LAYER, level, _layer_message(layer), layer.name, figures)


def _layer_message(layer: LayerEntry) -> str:
    parts = [f"weights of {layer.bits} bits with an SQNR of {decibels(layer.weight.sqnr_db)}"]
    if layer.output is not None:
        parts.append(f"an output with an SQNR of {decibels(layer.output.sqnr_db)}")
    if layer.error_share is not None:
        parts.append(f"{percent(layer.error_share)} of the output error that all weights cause")
    return f"The {layer.op} layer {_literal(layer.name)} has {', '.join(parts)}."


def _result(
    report: Report, rule: str, level: Level, message: str, layer: str | None, figures: dict[str, Any]
) -> dict[str, Any]:
    place: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": {"uri": _uri(report), "index": 0},
            "region": {"startLine": 1},  # a binary file has no lines, but code review tools require one
        }
    }
    if layer is not None:
        place["logicalLocations"] = [{"name": layer, "fullyQualifiedName": layer, "kind": "module"}]
    fingerprint = hashlib.sha256(f"{rule}\0{report.model.name}\0{layer or ''}".encode()).hexdigest()
    return {
        "ruleId": rule,
        "level": level,
        "message": {"text": message},
        "locations": [place],
        "partialFingerprints": {"quantd/v1": fingerprint},
        "properties": figures,
    }


def _uri(report: Report) -> str:
    """Return the model's file name as a relative reference of RFC 3986; it may hold any character."""
    return quote(report.model.name, safe="") or "model"


def _literal(name: str) -> str:
    """Return a name as a text of SARIF that holds neither links, `[text](target)`, nor placeholders, `{0}`."""
    escaped = name.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
    return escaped.replace("{", "{{").replace("}", "}}")
