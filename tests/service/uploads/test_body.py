"""The body of an upload: its file name, and its file in a form."""

import hashlib

import pytest

from tests.specs import QUICK


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("../a/b.onnx", "b.onnx"),
        ("C:\\x\\b.onnx", "b.onnx"),
        ("a%00%0a%1bb", "ab"),
        ("-x.onnx", "-x.onnx"),
        ("a/", None),
    ],
)
def test_a_filename_is_stored_without_folders_and_controls(http, examples, sent, stored):
    assert http.post(f"/v1/models?filename={sent}", content=variant(examples, sent)).json()["filename"] == stored


@pytest.mark.parametrize("name", ["-x.onnx", "a/"])
def test_a_model_with_an_odd_name_or_none_runs(http, run_job, examples, name):
    model = http.post(f"/v1/models?filename={name}", content=variant(examples, name)).json()["id"]
    assert run_job(model=model, spec=QUICK)["status"] == "succeeded"


def variant(examples, name):
    """Return the example model with a doc_string for this name: the same model in other bytes."""
    note = hashlib.sha256(name.encode()).hexdigest()[:5].encode()
    return (examples / "digits.onnx").read_bytes() + b"\x32\x05" + note


@pytest.mark.parametrize(
    "files",
    [
        {"other": ("m.onnx", b"x")},
        {"file": (None, "text")},
        [("file", ("m.onnx", b"\x08\x08")), ("file", ("n.onnx", b"\x08\x08"))],
        [("file", ("m.onnx", b"\x08\x08")), ("other", (None, "x"))],
    ],
)
def test_a_form_with_anything_but_one_file_is_refused(http, stack, files):
    models = stack.folder / "store/default/models"  # jobs of other tests still write beside them
    known = set(models.rglob("*"))
    refused = http.post("/v1/models", files=files)
    assert (refused.status_code, refused.json()["code"]) == (400, "request.invalid")
    assert "'file'" in refused.json()["detail"]
    assert set(models.rglob("*")) == known
