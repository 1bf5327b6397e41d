"""The examples of the OpenAPI document, recorded from a service that quantizes the example model.

`python -m docs.api_examples` writes them; ids and times differ in each run.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import httpx

from jobs.stack import Stack
from quant.outcome.gates import GATES
from service.api_examples import branch_of
from service.app import create_app

ROOT = Path(__file__).parent.parent
PATH = ROOT / "service" / "api_examples.json"
MOST = 2
"""The entries of a list or of a mapping that an example shows."""
WAIT = {"Prefer": "wait=60"}
SPEC: dict[str, Any] = {
    "preset": "int8",
    "weights": {"clipping": {"name": "percentile", "q": 99.99}},
    "layers": [{"match": {"op": "Gemm"}, "weights": {"bits": 8}}],
    "gates": {"min_output_sqnr_db": 20, "max_size_ratio": 0.5},
    "measure": {"latency": True},
}


PARTS: dict[str, dict[str, Any]] = {
    "BackgroundTask": {"failing_since": "2026-11-28T12:00:00Z", "error": "ConnectionError"},
    "BaselineComparison": {"latency_ratio": {"a": 0.62, "b": 0.58, "difference": -0.04, "change": "better"}},
    "Budget": {"max_size_ratio": 0.16, "max_bytes": 2_000_000, "mean_bits": 4.5},
    "Capabilities": {
        "sources": ["https", "s3"], "destinations": ["s3"],
        "preset_descriptions": {"int8": "8-bit weights and activations: the fastest on CPUs."},
    },
    "CtcText": {"output": "logits"},
    "DestinationIn": {
        "url": "s3://bucket/nightly/1", "credentials": "store", "artifacts": ["model.onnx", "report.json"],
    },
    "DestinationOut": {
        "url": "s3://bucket/nightly/1", "credentials": "store", "artifacts": ["model.onnx", "report.json"],
        "status": "copied", "attempts": 1, "finished_at": "2026-11-28T12:00:00.000Z",
    },
    "Detection": {"output": "boxes", "scores": "scores", "classes": "labels"},
    "Gate": {"reason": "the baseline was evaluated on other data"},
    "GateEntry": {"reason": "the baseline was evaluated on other data"},
    "ErrorShareBasis": {"reason": "no calibration data"},
    "Export": {"max_opset": 21, "max_ir_version": 10},
    "ExternalFile": {"location": "model.onnx.data", "tensors": 12, "bytes": 1_800_000_000},
    "Finding": {"code": "calibration.constant", "detail": "The input x has one value in all samples.", "names": ["x"]},
    "Float16": {"values": 1200, "sqnr_db": 72.4},
    "Gates": {
        gate.name: {"dB": 20.0, "points": 1.0}.get(gate.unit, 0.9 if gate.name.startswith("min") else 0.05)
        for gate in GATES
    },
    "JobWarning": {"code": "size.grown", "detail": "The quantized model is larger than the float model."},
    "Latency": {"reason": "the float model takes more than a second"},
    "LayerEntry": {
        "block_size": 32, "output_reason": "no calibration data", "activation_reason": "the input is not quantized",
        "error_share_reason": "no calibration data", "picture_reason": "the layer has a table of levels",
        "channels_reason": "the layer has one scale",
    },
    "Limits": {"seconds": 120},
    "LoneLayer": {
        "name": "/fc/Gemm", "op": "Gemm", "bits": 8, "output_sqnr_db": 31.2, "weight_sqnr_db": 40.1,
        "reason": "no calibration data",
    },
    "MatMulAccuracy": {
        "requested": "auto", "used": "int8", "reason": "the SQNR is lower by less than 3 dB",
        "output_sqnr_db": {"int8": 38.5, "float": 40.2}, "layers": ["/fc/MatMul"],
    },
    "MetricValue": {"name": "mse", "value": 0.002},
    "MinMaxRange": {"moving": 0.01},
    "ModuleInput": {"name": "input", "shape": ["N", 3, 32, 32]},
    "NextToken": {"output": "logits"},
    "OutputBounds": {"reason": "the operator Sigmoid has no rule"},
    "OutputEntry": {
        "samples": 360, "sqnr_db": 33.1, "cosine": 0.9998, "identical": False, "agreement": 0.997, "mean_error": 0.01,
        "max_error": 0.2, "finite_fraction": 1.0, "nonfinite_agreement": 1.0, "reason": "the output holds texts",
    },
    "Picture": {"levels": [-1.0, 0.0, 1.0]},
    "Plan": {"spec_yaml": "preset: int4\n"},
    "PlannedLayer": {"block_size": 32},
    "Regression": {"output": "value"},
    "Retrieval": {"output": "embedding"},
    "SearchSection": {"passed": True, "fails_by": "min_output_sqnr_db by 0.4 dB"},
    "SearchTrial": {"size_ratio": 0.18, "mean_bits": 4.1, "passed": True},
    "Segmentation": {"output": "mask"},
    "SkippedNode": {"name": "/fc2/Gemm", "op": "Gemm", "reason": "the weight is not constant"},
    "SpecEvaluation": {"classes": True},
    "Speech": {"output": "audio"},
    "TargetFinding": {
        "code": "target.opset", "names": ["model"], "detail": "The model has opset 25.", "accepted": "opset 21",
        "source": "https://onnxruntime.ai/docs/reference/compatibility.html",
    },
    "TaskMetricOut": {"options": {"output": {"type": "string"}}},
    "TaskValue": {
        "name": "map", "metric": "detection", "output": "boxes", "unit": "fraction", "samples": 200, "value": 0.41,
        "float_value": 0.42, "loss": 0.01, "low": 0.0, "high": 0.02, "reason": "no targets",
    },
    "TotalMeanShift": {"reason": "no calibration data"},
    "TrialGate": {"name": "min_output_sqnr_db", "limit": 20.0, "value": 23.4, "passed": True},
    "WeightErrors": {"expected_reason": "the grid has no expected error"},
    "WeightSqnr": {"reason": "the model is too large"},
}  # fmt: skip
"""Parts of documents that the example model does not lead to, by the name of their schema."""


def record(http: httpx.Client) -> dict[str, list[Any]]:
    """Return documents of the service by the name of their schema; the first one is shown whole."""
    examples = ROOT / "examples"
    model = http.post("/v1/models?filename=digits.onnx", content=(examples / "digits.onnx").read_bytes()).json()
    data = {
        role: http.post(
            f"/v1/datasets?filename={role}.npz", content=(examples / f"digits_{role}.npz").read_bytes()
        ).json()
        for role in ("calibration", "evaluation")
    }
    body = {"model": model["id"], **{role: dataset["id"] for role, dataset in data.items()}, "spec": SPEC,
            "tags": {"branch": "main"}, "priority": 0}  # fmt: skip
    job = _ended(http, "/v1/jobs", body)
    small = _ended(http, "/v1/jobs", {**body, "spec": {"preset": "small"}, "baseline": job["id"]})
    cut = http.post("/v1/models", content=(examples / "digits.onnx").read_bytes()[:-900]).json()
    failed = _ended(http, "/v1/jobs", {"model": cut["id"], "spec": {"preset": "int8-weights"}})
    batch_body = {"models": [model["id"]], "presets": ["int8-weights", "int4-weights"], "tags": {"branch": "main"}}
    batch = _ended(http, "/v1/batches", batch_body)
    plan_body = {"model": model["id"], "spec": {"preset": "int4"}}
    plan = _ended(http, "/v1/plans", plan_body)
    refused = http.post("/v1/jobs", json={"model": model["id"], "spec": {"weights": {"bits": 1}}}).json()
    webhook = {"url": "https://example.com/hook", "secret": "whsec_C2FVsBQIhrscChlQIMVC2FVsBQIhrscChlQIMVaa"}
    url = job["links"]["self"]
    share = http.post(f"{url}/shares", json={"days": 7}).json()
    return {
        "ModelOut": [model],
        "ModelPage": [http.get("/v1/models?limit=1").json()],
        "DatasetOut": [data["calibration"]],
        "DatasetPage": [http.get("/v1/datasets?limit=1").json()],
        "JobIn": [{**body, "webhook": webhook, "baseline": "branch:main"}],
        "JobOut": [job, small, failed],
        "JobPage": [http.get("/v1/jobs?limit=1").json()],
        "CancelIn": [{"status": "queued", "tags": ["branch:main"]}],
        "CancelOut": [http.post("/v1/jobs/cancel", json={}).json()],
        "BatchIn": [{**batch_body, "evaluation": data["evaluation"]["id"], "webhook": webhook}],
        "BatchOut": [batch],
        "BatchPage": [http.get("/v1/batches?limit=1").json()],
        "UsageOut": [http.get("/v1/usage").json()],
        "PlanIn": [plan_body],
        "PlanOut": [plan],
        "ArtifactPage": [http.get(f"{url}/artifacts").json()],
        "Report": [http.get(f"{url}/report").json(), http.get(f"{small['links']['self']}/report").json()],
        "Comparison": [http.get(f"{url}/compare/{small['id']}").json()],
        "ShareIn": [{"days": 7}],
        "ShareOut": [share],
        "SharePage": [http.get(f"{url}/shares").json()],
        "PartsOut": [
            {"items": [{"offset": 0, "size": 16 << 20, "url": "https://store.example.com/part?signature=..."}]}
        ],
        "Problem": [refused],
        "Capabilities": [{**http.get("/v1/capabilities").json(), "spec_schema": {"title": "Spec", "type": "object"}}],
        "VersionOut": [http.get("/v1/version").json()],
        "Health": [http.get("/livez").json()],
        "ServiceHealth": [http.get("/readyz").json()],
    }


def _ended(http: httpx.Client, path: str, body: dict[str, Any]) -> Any:
    """Return a job, a batch or a plan after its end."""
    record = http.post(path, json=body).json()
    while record["status"] in ("queued", "running"):
        record = http.get(record["links"]["self"], headers=WAIT).json()
    return record


def shortened(value: Any, schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """Return a value with at most `MOST` entries in each list and each mapping of any keys."""
    schema = branch_of(schema, value, schemas)
    if isinstance(value, list):
        most = max(MOST, schema.get("minItems", 0))
        return [shortened(part, schema.get("items", {}), schemas) for part in value[:most]]
    if not isinstance(value, dict):
        return value
    options = schema.get("properties", {})
    others = schema.get("additionalProperties")
    others = others if isinstance(others, dict) else {}
    keys = list(value) if options else list(value)[:MOST]
    return {key: shortened(value[key], options.get(key, others), schemas) for key in keys}


def main() -> None:
    """Record the examples."""
    schemas = create_app().openapi()["components"]["schemas"]
    with (
        tempfile.TemporaryDirectory() as folder,
        Stack(Path(folder)) as stack,
        httpx.Client(base_url=stack.url, timeout=90) as http,
    ):
        recorded = record(http)
    documents = {
        name: [shortened(document, schemas[name], schemas) for document in recorded[name]] for name in recorded
    }
    job = documents["JobOut"][0]
    batch = documents["BatchOut"][0]
    documents["BatchEnded"] = [{"type": "batch.ended", "timestamp": batch["finished_at"], "data": batch}]
    documents["JobEnded"] = [{"type": "job.succeeded", "timestamp": job["finished_at"], "data": job}]
    PATH.write_text(json.dumps({"documents": documents, "parts": PARTS}, indent=1) + "\n")


if __name__ == "__main__":
    main()
