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
        ([("presett", (None, "int4"))], "`presett`: did you mean `preset`?"),
        ([("calibraton", ("c.npz", b"x"))], "`calibraton`: did you mean `calibration`?"),
        ([("spec", (None, "{}")), ("spec", (None, "{}"))], "'spec'"),
        ([("calibration", (None, "c.npz"))], "'calibration' is text"),
        ([("spec", ("s.yaml", b"#" * (SPEC_BYTES + 1)))], f"accepted: up to {SPEC_BYTES}"),
        ([("spec", (None, "#" * (SPEC_BYTES + 1)))], f"accepted: up to {SPEC_BYTES}"),
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
        http.post("/v1/quantize", content=b"x", headers={"Content-Type": "multipart/form-data"}),
    ):
        assert (response.status_code, response.json()["code"]) == (400, "request.invalid"), response.text


def test_a_body_that_is_no_form_is_refused(http):
    response = http.post("/v1/quantize", json={"model": "m"})
    assert (response.status_code, response.json()["code"]) == (415, "request.unsupported_media_type")
    assert "multipart/form-data" in response.json()["detail"]


def stored(stack):
    return {
        path for path in (stack.folder / "store").rglob("*") if "/models/" in str(path) or "/datasets/" in str(path)
    }


@pytest.mark.parametrize("before", [True, False], ids=["a spec before the file", "a spec after the file"])
def test_a_refused_form_leaves_no_file_behind(http, stack, before):
    files = [("spec", (None, json.dumps({"preset": "int8-weights", "seed": -1}))), ("model", ("m", b"\x08\x08refused"))]
    known = stored(stack)
    response = http.post("/v1/quantize", files=files if before else files[::-1])
    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, "/seed")
    response = http.post("/v1/quantize", files=[files[1], ("other", (None, "x"))])
    assert response.status_code == 400
    assert stored(stack) == known


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("webhook", (None, '{"url": "http://example.com/"}')),
        ("destination", (None, '{"url": "https://example.com/"}')),
        ("calibration", ("c.npz", b"PK\x03\x04 cut")),
        ("evaluation", ("e.npy", b"\x93NUMPY\x01\x00 cut")),
        ("tags", (None, "[")),
    ],
)
@pytest.mark.parametrize("before", [True, False])
def test_a_fault_in_one_part_leaves_no_file_of_the_others(http, stack, name, sent, before):
    files = [("model", ("m", b"\x08\x08" + name.encode())), (name, sent)]
    known = stored(stack)
    form = [("preset", (None, "int8-weights")), *(files if before else files[::-1])]
    response = http.post("/v1/quantize", files=form)
    assert response.status_code in (400, 422), response.text
    assert stored(stack) == known


def test_a_form_whose_job_is_refused_leaves_no_file(http, stack, examples):
    known = stored(stack)
    files = [("model", ("m", (examples / "digits.onnx").read_bytes() + b"\x00")), ("preset", (None, "int8-weights"))]
    response = http.post("/v1/quantize", files=[*files, ("baseline", (None, "job_0"))])
    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (404, "/baseline")
    assert stored(stack) == known


def test_the_same_form_with_the_same_key_is_one_job(post):
    form = [("preset", (None, "int8-weights"))]
    first, again = (post(form, headers={"Idempotency-Key": "one-form"}).json()["id"] for _ in range(2))
    assert first == again


def test_a_form_has_tags_and_a_priority(post):
    fields = [("preset", (None, "int8-weights")), ("tags", (None, '{"branch": "main", "run": "7"}'))]
    job = post([*fields, ("priority", (None, "3"))]).json()
    assert (job["tags"], job["priority"]) == ({"branch": "main", "run": "7"}, 3)
    assert post([*fields[:1], ("tags", (None, "branch: main\nrun: '7'"))]).json()["tags"] == job["tags"]


@pytest.mark.parametrize(
    ("name", "text", "pointer"),
    [
        ("tags", "{a: [", "/tags"),
        ("tags", "{run: 7}", "/tags/run"),
        ("webhook", "{address: x}", "/webhook/url"),
        ("webhook", "{url: 'ftp://example.com'}", "/webhook/url"),
        ("priority", "eleven", "/priority"),
    ],
)
def test_a_fault_in_a_field_has_a_pointer(post, name, text, pointer):
    response = post([("preset", (None, "int8-weights")), (name, (None, text))])
    assert (response.status_code, response.json()["code"]) == (400, "request.invalid")
    assert response.json()["errors"][0]["pointer"] == pointer
