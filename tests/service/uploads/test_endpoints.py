"""Models and datasets over HTTP: upload, show, list, delete."""

import hashlib
import io

import numpy as np
import pytest

from service.digests import digest_header


def test_the_same_bytes_again_are_the_same_model(http, examples):
    data = (examples / "digits.onnx").read_bytes() + b"\x32\x00"  # an empty doc_string: other bytes, the same model
    headers = {"Repr-Digest": digest_header(hashlib.sha256(data).hexdigest()), "X-Filename": "../x/digits.onnx"}
    first = http.post("/v1/models", content=data, headers=headers)
    again = http.post("/v1/models", files={"file": ("other.onnx", data)})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json() == http.get(first.headers["location"]).json()
    assert first.json()["filename"] == "digits.onnx"
    assert first.json()["sha256"] == hashlib.sha256(data).hexdigest()
    assert http.delete(first.headers["location"]).status_code == 204
    assert http.get(first.headers["location"]).status_code == 404


def test_a_dataset_has_its_samples_and_arrays(http, uploaded):
    dataset = http.get(f"/v1/datasets/{uploaded['evaluation']}").json()
    assert dataset["samples"] == 500
    assert {(a["name"], a["dtype"], tuple(a["shape"])) for a in dataset["arrays"]} == {
        ("input", "float32", (500, 1, 8, 8)), ("labels", "uint8", (500,)),
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["models", "datasets"])
def test_uploads_are_listed_newest_first(http, uploaded, kind):
    ids = [item["id"] for item in http.get(f"/v1/{kind}", params={"limit": 100}).json()["items"]]
    assert set(uploaded.values()) & set(ids)
    assert ids == sorted(ids, reverse=True)


@pytest.mark.parametrize(("shapes", "samples"), [({"mean": (6, 3, 4)}, 6), ({"mean": (3,), "std": (5, 2)}, 5)])
def test_an_input_of_the_model_may_be_called_mean_or_std(http, shapes, samples):
    data = io.BytesIO()
    np.savez(data, **{name: np.zeros(shape, np.float32) for name, shape in shapes.items()})
    stored = http.post("/v1/datasets", content=data.getvalue())
    assert (stored.status_code, stored.json()["samples"]) == (201, samples)
