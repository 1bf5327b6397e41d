"""The form of POST /v1/quantize: its files, its spec, and fields that are refused."""

import json

import pytest

from service.documents import SPEC_BYTES


@pytest.fixture
def post(http, examples):
    """Send a form; the jobs that it submits are cancelled after the test."""
    model, accepted = (examples / "digits.onnx").read_bytes(), []

    def post(fields=(), model=("digits.onnx", model), **options):
        files = [("model", model)] if model else []
        response = http.post("/v1/quantize", files=[*files, *fields], **options)
        accepted.extend([response.json()] if response.status_code == 202 else [])
        return response

    yield post
    for job in accepted:
        http.post(job["links"]["cancel"])


@pytest.mark.parametrize(
    "spec",
    [
        (None, "preset: int4-weights"),
        (None, '{"preset": "int4-weights"}'),
        ("spec.yaml", b"preset: int4-weights\n"),
        ("spec.json", b'{"preset": "int4-weights"}'),
    ],
)
def test_the_spec_comes_as_text_or_as_a_file(post, spec):
    response = post([("spec", spec)])
    assert response.status_code == 202, response.text
    assert response.json()["spec"] == {"preset": "int4-weights"}


def test_the_preset_of_a_spec_overrides_the_field(post):
    assert post([("preset", (None, "int8-weights"))]).json()["spec"] == {"preset": "int8-weights"}
    both = post([("preset", (None, "int8")), ("spec", (None, "{preset: int4-weights, seed: 1}"))]).json()["spec"]
    assert both == {"preset": "int4-weights", "seed": 1}


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ([("presett", (None, "int4"))], "'presett'"),
        ([("calibraton", ("c.npz", b"x"))], "'calibraton'"),
        ([("spec", (None, "{}")), ("spec", (None, "{}"))], "'spec'"),
        ([("calibration", (None, "c.npz"))], "'calibration' is text"),
        ([("spec", ("s.yaml", b"#" * (SPEC_BYTES + 1)))], f"accepted: up to {SPEC_BYTES}"),
        ([("spec", (None, "#" * (SPEC_BYTES + 1)))], "maximum size"),
    ],
)
def test_a_field_that_cannot_be_used_is_refused(post, fields, detail):
    response = post(fields)
    assert (response.status_code, response.json()["code"]) == (400, "request.invalid")
    assert detail in response.json()["detail"]


def test_a_form_without_a_model_is_refused(http, post):
    for response in (
        post([("preset", (None, "int8-weights"))], model=None),
        post([("preset", (None, "int8-weights"))], model=(None, "m")),
        http.post("/v1/quantize", json={"model": "m"}),
        http.post("/v1/quantize", content=b"x", headers={"Content-Type": "multipart/form-data"}),
    ):
        assert (response.status_code, response.json()["code"]) == (400, "request.invalid"), response.text


def test_a_bad_spec_is_refused_before_its_files_are_stored(http, post):
    before = len(http.get("/v1/models", params={"limit": 100}).json()["items"])
    response = post([("spec", (None, json.dumps({"preset": "int8-weights", "seed": -1})))], model=("m", b"\x08\x08"))
    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, "/seed")
    assert len(http.get("/v1/models", params={"limit": 100}).json()["items"]) == before


def test_the_same_form_with_the_same_key_is_one_job(post):
    form = [("preset", (None, "int8-weights"))]
    first, again = (post(form, headers={"Idempotency-Key": "one-form"}).json()["id"] for _ in range(2))
    assert first == again
