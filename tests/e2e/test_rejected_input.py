"""Rejected input: the problem says what would be accepted, and nothing is stored."""

import hashlib
import io
import json
import socket
import time

import httpx
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from jobs.stack import Stack


def problem(response, status, code):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert (document["status"], document["code"]) == (status, code)
    assert document["detail"]
    return document


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def images(**changes):
    return np.zeros(changes.get("shape", (4, 1, 8, 8)), changes.get("dtype", np.float32))


def blobs(stack):
    return sorted(path for path in stack.folder.joinpath("store", "default").rglob("*") if path.is_file())


def uploads(stack):
    """Return the stored files, except those of jobs, which may still be running."""
    return [path for path in blobs(stack) if "jobs" not in path.relative_to(stack.folder).parts]


# What the gateway refuses


@pytest.mark.parametrize("data", [b"hello, world", b"<html>", b"\x00\x01\x02"])
def test_other_bytes_than_a_model_are_refused_at_once(http, stack, data):
    before = uploads(stack)
    document = problem(http.post("/v1/models", content=data), 415, "model.unsupported_format")
    assert ".onnx" in document["detail"]
    assert uploads(stack) == before


@pytest.mark.parametrize(("kind", "accepted"), [("model", ".onnx"), ("dataset", ".npz")])
def test_an_empty_body_is_refused(http, stack, kind, accepted):
    before = uploads(stack)
    assert accepted in problem(http.post(f"/v1/{kind}s", content=b""), 422, f"{kind}.empty")["detail"]
    assert uploads(stack) == before


def test_a_wrong_digest_is_refused_and_nothing_is_stored(http, stack):
    before = uploads(stack)
    headers = {"Repr-Digest": "sha-256=:" + "A" * 43 + "=:"}
    document = problem(
        http.post("/v1/models", content=b"\x08\x08" + b"x" * 100, headers=headers), 400, "request.digest_mismatch"
    )
    assert hashlib.sha256(b"\x08\x08" + b"x" * 100).hexdigest() in document["detail"]
    assert uploads(stack) == before


def test_an_unreadable_digest_is_refused(http):
    problem(http.post("/v1/models", content=b"\x08\x08", headers={"Repr-Digest": "md5=:x:"}), 400, "request.invalid")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"not an archive", "accepted: .npz, .npy, .safetensors, .h5 or a .zip of images"),
        (npz(input=images())[:-30], "accepted: .npz, .npy, .safetensors, .h5 or a .zip of images"),
        (npz(input=np.array([{}], dtype=object)), "Python objects"),
        (npz(mean=np.zeros(3)), "sample axis"),
    ],
)
def test_an_unreadable_dataset_is_refused(http, stack, data, message):
    before = uploads(stack)
    document = problem(http.post("/v1/datasets", content=data), 422, "dataset.unreadable")
    assert message in document["detail"]
    assert uploads(stack) == before


def test_a_header_that_declares_more_than_it_has_is_refused(http):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f4", "fortran_order": False, "shape": (2**32,)})
    document = problem(http.post("/v1/datasets", content=buffer.getvalue()), 422, "dataset.unreadable")
    assert "declares 17179869184 bytes" in document["detail"]


@pytest.mark.parametrize(
    ("spec", "pointer", "message"),
    [
        ({"weightz": {}}, "/weightz", "accepted: preset, weights"),
        ({"weights": {"bitz": 8}}, "/weights/bitz", "accepted: bits, granularity"),
        ({"weights": {"bits": 1}}, "/weights/bits", "8, 7, 6, 5, 4, 3 or 2"),
        ({"weights": {"clipping": "magic"}}, "/weights/clipping", "'minmax'"),
        ({"weights": {"clipping": {"name": "mae", "q": 1}}}, "/weights/clipping/q", "accepted: name"),
        ({"weights": {"distributions": ["cauchy"]}}, "/weights/distributions", "accepted: gaussian"),
        ({"weights": {"distributions": []}}, "/weights/distributions", "at least 1"),
        ({"preset": "int7"}, "/preset", "'int8'"),
        ({"layers": [{"match": {"op": "Relu"}}]}, "/layers/0/match/op", "'Conv'"),
        ({"gates": {"max_size_ratio": -1}}, "/gates/max_size_ratio", "greater than 0"),
        ({"preset": "int8-weights", "gates": {"min_top1_agreement": 0.9}}, "/gates/min_top1_agreement", "evaluation"),
        ({"preset": "int8"}, "/activations", "needs calibration data"),
    ],
)
def test_a_fault_in_a_spec_has_a_pointer(http, uploaded, spec, pointer, message):
    response = http.post("/v1/jobs", json={"model": uploaded["model"], "spec": spec})
    document = problem(
        response, 422, "spec.data_required" if "evaluation" in message or "needs" in message else "spec.invalid"
    )
    (fault,) = document["errors"]
    assert fault["pointer"] == pointer
    assert message in fault["detail"]


def test_a_spec_that_is_not_yaml_is_refused(http, examples):
    files = {"model": ("m.onnx", (examples / "digits.onnx").read_bytes())}
    problem(http.post("/v1/quantize", files=files, data={"spec": "{a: ["}), 422, "spec.invalid")


@pytest.mark.parametrize("body", [{"model": "model_none"}, {"model": None, "calibration": "dataset_none"}])
def test_unknown_ids_are_404(http, uploaded, body):
    body = {**body, "model": body["model"] or uploaded["model"], "spec": {"preset": "int8-weights"}}
    problem(http.post("/v1/jobs", json=body), 404, "not_found")


@pytest.mark.parametrize(
    "path", ["/v1/jobs/x", "/v1/models/x", "/v1/datasets/x", "/v1/jobs/x/events", "/v1/jobs/x/report", "/x"]
)
def test_unknown_paths_are_404(http, path):
    problem(http.get(path), 404, "not_found")


def test_a_fault_in_a_job_has_a_pointer(http):
    document = problem(http.post("/v1/jobs", json={"modell": "x"}), 400, "request.invalid")
    assert {fault["pointer"] for fault in document["errors"]} == {"/model", "/modell"}


def test_a_compressed_body_is_refused(http):
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    document = problem(http.post("/v1/jobs", content=b"{}", headers=headers), 415, "request.unsupported_media_type")
    assert "gzip" in document["detail"]


def test_a_body_that_is_no_json_is_refused_with_the_position(http):
    response = http.post("/v1/jobs", content=b'{\n "model": oops', headers={"Content-Type": "application/json"})
    (fault,) = problem(response, 400, "request.invalid")["errors"]
    assert fault["pointer"] == ""
    assert fault["detail"].startswith("body: not JSON at line 2, column 11: ")


@pytest.mark.parametrize(
    "tags",
    [{"": "x"}, {"a:b": "x"}, {"a" * 65: "x"}, {"a": "x" * 257}, {str(n): "x" for n in range(33)}, {"a": "\ud800"}],
)
def test_tags_that_no_filter_matches_or_that_are_too_long_are_refused(http, uploaded, tags):
    body = json.dumps({"model": uploaded["model"], "spec": {"preset": "int8-weights"}, "tags": tags})
    response = http.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    assert problem(response, 400, "request.invalid")["errors"][0]["pointer"].startswith("/tags")


def test_a_spec_that_cannot_be_shown_again_is_refused(http, uploaded):
    for value in ("NaN", "Infinity", '"\\ud800"', "1e999"):
        body = f'{{"model": "{uploaded["model"]}", "spec": {{"preset": "int8-weights", "seed": {value}}}}}'
        response = http.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
        problem(response, 400, "request.invalid")
    assert http.get("/v1/jobs").status_code == 200


def test_an_unsupported_method_is_405_with_the_supported_ones(http):
    response = http.put("/v1/jobs", json={})
    problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "GET, HEAD, POST"


def test_an_idempotency_key_returns_the_first_job_and_refuses_another(http, uploaded):
    body = {"model": uploaded["model"], "spec": {"preset": "int8-weights"}}
    first, again = (http.post("/v1/jobs", json=body, headers={"Idempotency-Key": "k1"}).json()["id"] for _ in range(2))
    assert first == again
    other = http.post("/v1/jobs", json={**body, "tags": {"a": "b"}}, headers={"Idempotency-Key": "k1"})
    problem(other, 422, "request.idempotency_mismatch")


FORM = "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 50000000"
PART = '--x\r\nContent-Disposition: form-data; name="{}"; filename="m"\r\n\r\n'


@pytest.mark.parametrize(
    ("path", "headers", "start"),
    [
        ("/v1/models", "Content-Length: 50000000", b"\x08\x08"),
        ("/v1/models", "Transfer-Encoding: chunked", b"2000000\r\n\x08\x08"),
        ("/v1/models", FORM, PART.format("file").encode() + b"\x08\x08"),
        ("/v1/datasets", "Content-Length: 50000000", b"PK\x03\x04"),
        ("/v1/quantize", FORM, PART.format("model").encode() + b"\x08\x08"),
    ],
)
def test_a_disconnect_during_an_upload_leaves_nothing_behind(stack, http, path, headers, start):
    before = uploads(stack)
    host, port = stack.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n"
        connection.sendall(head.encode() + start + b"x" * 20_000_000)
    assert http.get("/readyz").status_code == 200
    deadline = time.monotonic() + 30
    while uploads(stack) != before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert uploads(stack) == before


def test_a_body_over_the_limit_is_refused_and_nothing_is_stored(tmp_path, examples):
    limits = {"QUANTD_MAX_MODEL_BYTES": "1000", "QUANTD_MAX_DATASET_BYTES": "1000"}
    with Stack(tmp_path, settings=limits) as small, httpx.Client(base_url=small.url) as client:
        for kind, name in (("models", "digits.onnx"), ("datasets", "digits_calibration.npz")):
            response = client.post(f"/v1/{kind}", content=(examples / name).read_bytes())
            assert "up to 1000" in problem(response, 413, "request.too_large")["detail"]
            for body in (b"x" * 5_000_000, (b"x" * 100_000 for _ in range(50))):  # announced, and not
                problem(client.post(f"/v1/{kind}", content=body), 413, "request.too_large")
            form = {"file": (name, b"x" * 5_000_000)}
            problem(client.post(f"/v1/{kind}", files=form), 413, "request.too_large")
        assert blobs(small) == []


# What the job refuses: the model is opened there alone


@pytest.fixture
def failed(http, run_job):
    """Upload and run a model that must fail, and return the job's problem."""

    def run(model, calibration=None, preset="int8-weights"):
        ids = {"model": http.post("/v1/models", content=model).json()["id"]}
        if calibration is not None:
            ids["calibration"] = http.post("/v1/datasets", content=calibration).json()["id"]
        job = run_job(**ids, spec={"preset": preset})
        assert (job["status"], job["summary"]) == ("failed", None)
        assert http.get(f"/v1/jobs/{job['id']}/report").status_code == 409
        return job["error"]

    return run


def small_model(nodes, initializers=(), opset=17, domain=""):
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        list(initializers),
    )  # fmt: skip
    imports = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    return helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()


def weight(values=None):
    return numpy_helper.from_array(np.ones((4, 4), np.float32) if values is None else values, "w")


def test_a_truncated_model_fails_its_job(failed, examples):
    error = failed((examples / "digits.onnx").read_bytes()[:-1000])
    assert (error["code"], error["status"]) == ("model.unreadable", 422)
    assert "cut short" in error["detail"]


def test_missing_external_data_fails_with_the_files_name(failed):
    external = weight()
    external.ClearField("raw_data")
    external.data_location = TensorProto.EXTERNAL
    external.external_data.add(key="location", value="weights.bin")
    error = failed(small_model([helper.make_node("MatMul", ["x", "w"], ["y"])], [external]))
    assert error["code"] == "model.missing_external_data"
    assert "weights.bin" in error["detail"]


def test_a_model_without_a_layer_fails(failed):
    assert failed(small_model([helper.make_node("Relu", ["x"], ["y"])]))["code"] == "model.nothing_to_quantize"


def test_a_weight_with_nan_fails(failed):
    broken = weight(np.full((4, 4), np.nan, np.float32))
    assert (
        failed(small_model([helper.make_node("MatMul", ["x", "w"], ["y"])], [broken]))["code"]
        == "model.non_finite_weight"
    )


def test_a_custom_operator_fails_with_its_name(failed):
    error = failed(small_model([helper.make_node("Magic", ["x"], ["y"], domain="acme")], domain="acme"))
    assert error["code"] == "model.unsupported_operator"
    assert "acme::Magic" in error["detail"]


def test_a_graph_that_onnxruntime_refuses_fails_without_a_traceback(failed):
    error = failed(small_model([helper.make_node("MatMul", ["x", "nowhere"], ["y"])]))
    assert error["code"] == "model.invalid"
    assert "Traceback" not in json.dumps(error)


@pytest.mark.parametrize(
    ("arrays", "code", "message"),
    [
        ({"inputs": images()}, "dataset.input_mismatch", "'input' is missing"),
        ({"input": images(shape=(4, 3, 8, 8))}, "dataset.input_mismatch", "accepted: [N, 1, 8, 8]"),
        ({"input": images(dtype=np.float64)}, "dataset.input_mismatch", "accepted: float32"),
        ({"input": np.full((4, 1, 8, 8), np.nan, np.float32)}, "dataset.non_finite", "at [0, 0, 0, 0]"),
    ],
)
def test_calibration_data_that_does_not_fit_fails_with_the_accepted_shapes(failed, examples, arrays, code, message):
    error = failed((examples / "digits.onnx").read_bytes(), npz(**arrays), preset="int8")
    assert error["code"] == code
    assert message in error["detail"]


def test_a_damaged_torchscript_archive_is_refused_by_its_job(http, run_job, examples):
    data = bytearray((examples / "digits.pt").read_bytes())
    data[len(data) // 2 :] = b"\x00" * (len(data) - len(data) // 2)
    uploaded = http.post("/v1/models", content=bytes(data)).json()
    assert uploaded["format"] == "torchscript"
    job = run_job(model=uploaded["id"], spec={"preset": "int8-weights"})
    assert job["status"] == "failed"
    assert job["error"]["code"] == "model.unreadable"


def test_the_worker_continues_after_failures(run_job, uploaded):
    assert run_job(model=uploaded["model"], spec={"preset": "int8-weights"})["status"] == "succeeded"
