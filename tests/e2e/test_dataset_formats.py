"""Calibration data of every format, read in the sandbox, give the same quantized model."""

import io
import zipfile

import h5py
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save

SPEC = {"preset": "int8", "report": "weights", "images": {"mean": 0.5, "std": 0.25}}
PIXELS = np.random.default_rng(0).integers(0, 256, (24, 8, 8), dtype=np.uint8)
LABELS = np.arange(24) // 3


def npz():
    buffer = io.BytesIO()
    np.savez(buffer, images=PIXELS, mean=0.5, std=0.25, labels=LABELS)
    return buffer.getvalue()


def arrays():
    inputs = (PIXELS[:, None].astype(np.float32) / 255 - np.float32(0.5)) / np.float32(0.25)
    return {"input": inputs, "labels": LABELS}


def hdf5():
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("input", data=arrays()["input"], compression="gzip", shuffle=True)
        file["labels"] = LABELS
    return buffer.getvalue()


def images(cut=""):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, (pixels, label) in enumerate(zip(PIXELS, LABELS, strict=True)):
            image = io.BytesIO()
            Image.fromarray(pixels).save(image, "PNG")
            name = f"{label}/{number:02}.png"
            archive.writestr(name, image.getvalue()[: -30 if name == cut else None])
    return buffer.getvalue()


FORMATS = {"safetensors": lambda: save(arrays()), "hdf5": hdf5, "images": images}


@pytest.fixture(scope="module")
def run(http, run_job, uploaded):
    """Upload a dataset and quantize the example model with it; return the dataset and the job."""

    def run(content):
        dataset = http.post("/v1/datasets", content=content).json()
        return dataset, run_job(model=uploaded["model"], calibration=dataset["id"], spec=SPEC)

    return run


@pytest.fixture
def model_of(http):
    """Return the quantized model of a job."""

    def model_of(job):
        assert job["status"] == "succeeded", job["error"]
        return http.get(f"{job['links']['artifacts']}/model.onnx").content

    return model_of


@pytest.fixture(scope="module")
def expected(run):
    """The job with the .npz file."""
    return run(npz())[1]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_bytes_of_the_model(http, run, model_of, expected, name):
    dataset, job = run(FORMATS[name]())
    assert (dataset["format"], dataset["samples"]) == (name, None if name == "hdf5" else 24)
    assert model_of(job) == model_of(expected)
    assert "the sandbox refused" not in http.get(job["links"]["events"]).text


def test_an_image_that_is_cut_short_fails_the_job_by_its_name(run):
    error = run(images(cut="3/10.png"))[1]["error"]
    assert (error["status"], error["code"]) == (422, "dataset.unreadable")
    assert "image '3/10.png' cannot be read" in error["detail"]
