"""TorchScript modules and archives over HTTP, in the sandbox; hostile ones are refused."""

import io
import tarfile
import zipfile

import numpy as np
import pytest


@pytest.fixture(scope="module")
def submit(http, run_job):
    """Upload and quantize these bytes, and return the job after its end."""

    def run(data, **spec):
        answer = http.post("/v1/models", content=data)
        assert answer.status_code in (200, 201), answer.text
        return run_job(model=answer.json()["id"], spec={"preset": "int8-weights", **spec})

    return run


def zipped(path, name):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.write(path, name)
    return buffer.getvalue()


def tarred(path, name):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.add(path, name)
    return buffer.getvalue()


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_an_archive_is_quantized_like_its_model(submit, examples, pack):
    job = submit(pack(examples / "digits.onnx", "model/digits.onnx"))
    assert job["status"] == "succeeded", job["error"]
    assert job["summary"]["bytes_before"] == (examples / "digits.onnx").stat().st_size
    assert job["summary"]["quantized_layers"] == 7


def test_a_trace_is_quantized_with_its_activations(http, run_job, examples):
    model = http.post("/v1/models", content=(examples / "digits.pt").read_bytes()).json()
    assert model["format"] == "torchscript"
    with np.load(examples / "digits_calibration.npz") as calibration:
        arrays = {"images" if name == "input" else name: array for name, array in calibration.items()}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    dataset = http.post("/v1/datasets", content=buffer.getvalue()).json()["id"]
    job = run_job(model=model["id"], calibration=dataset, evaluation=dataset, spec={"preset": "int8"})
    assert job["status"] == "succeeded", job["error"]
    assert job["summary"]["quantized_layers"] == 7
    assert job["summary"]["output_sqnr_db"] > 20


@pytest.mark.data
def test_a_scripted_module_needs_input_shapes_in_the_spec(submit, data):
    upload = (data / "coverage" / "wtw_adaptation_module.jit").read_bytes()
    error = submit(upload)["error"]
    assert (error["status"], error["code"]) == (422, "spec.input_shapes_required")
    assert [fault["pointer"] for fault in error["errors"]] == ["/torchscript/inputs"]
    job = submit(upload, torchscript={"inputs": [{"name": "history", "shape": ["N", 2100]}]})
    assert job["status"] == "succeeded", job["error"]
    assert job["summary"]["quantized_layers"] == 3


def test_code_that_reads_files_is_refused(submit, examples):
    buffer = io.BytesIO()
    with zipfile.ZipFile(examples / "digits.pt") as old, zipfile.ZipFile(buffer, "w") as new:
        for member in old.infolist():
            code = old.read(member)
            if member.filename.endswith("__torch__.py"):
                code = code.replace(b"torch.relu(", b'torch.from_file("/etc/passwd", False, 10)\n    torch.relu(', 1)
            new.writestr(member, code)
    error = submit(buffer.getvalue())["error"]
    assert (error["status"], error["code"]) == (422, "model.unsafe")
    assert "from_file" in error["detail"]


def test_a_name_outside_the_archive_is_refused(submit, examples):
    error = submit(zipped(examples / "digits.onnx", "../digits.onnx"))["error"]
    assert (error["status"], error["code"]) == (422, "model.unsafe")
