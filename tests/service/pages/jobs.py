"""Jobs for the tests of views."""

from jobs.job import Job, Status, new_id
from quant.outcome.summary import Summary


def a_job(**fields):
    """A queued job with the least fields."""
    defaults = {
        "id": new_id("job"), "tenant": "default", "status": Status.QUEUED, "model": "model_1", "spec": {},
        "created_at": "2026-01-01T12:00:00.000Z",
    }  # fmt: skip
    return Job.model_validate(defaults | fields)


SUMMARY = Summary(
    bytes_before=1_000_000, bytes_after=250_000, size_ratio=0.25, layers=22, quantized_layers=21, weight_sqnr_db=40.25,
    output_sqnr_db=31.04, output_cosine=0.99912, top1_agreement=0.985, top1_float=91.2, top1_quantized=90.7,
    seconds=61.0,
)  # fmt: skip
HOSTILE = "<img src=x onerror=alert(1)>\"'$(reboot)`{{7*7}} -o.onnx"
