"""A real network on real images over HTTP: ResNet20, CIFAR-10, INT8 and INT4."""

import numpy as np
import pytest

from quant.runtime import optimised_operators

WEIGHTS = {"clipping": "minmax", "distributions": ["gaussian"]}
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def jobs(http, data, run_job, tmp_path_factory):
    """Both jobs after their end, with 512 calibration images; INT8 is evaluated on the 10,000 test images."""
    folder = tmp_path_factory.mktemp("cifar10")
    calibration = np.load(data / "datasets" / "cifar10_calibration.npz")["images"][:512]
    np.savez(folder / "calibration.npz", images=calibration, mean=MEAN, std=STD)
    test = np.load(data / "datasets" / "cifar10_test.npz")
    np.savez(folder / "evaluation.npz", images=test["images"], labels=test["labels"], mean=MEAN, std=STD)
    ids = {
        "model": http.post("/v1/models", content=(data / "models" / "resnet20_cifar10.onnx").read_bytes()).json()["id"]
    }
    for role in ("calibration", "evaluation"):
        ids[role] = http.post("/v1/datasets", content=(folder / f"{role}.npz").read_bytes()).json()["id"]
    jobs = {"int8": run_job(**ids, spec={"preset": "int8", "weights": WEIGHTS})}
    del ids["evaluation"]
    jobs["int4"] = run_job(**ids, spec={"preset": "int4", "weights": WEIGHTS})
    assert [job["status"] for job in jobs.values()] == ["succeeded"] * 2
    return jobs


@pytest.fixture(scope="module")
def models(http, jobs):
    return {bits: http.get(f"/v1/jobs/{job['id']}/artifacts/model.onnx").content for bits, job in jobs.items()}


def test_int8_keeps_top1_within_half_a_point_at_a_third_of_the_size(jobs):
    summary = jobs["int8"]["summary"]
    assert summary["top1_float"] == pytest.approx(81.03, abs=0.05)
    assert abs(summary["top1_quantized"] - summary["top1_float"]) <= 0.5
    assert summary["size_ratio"] <= 0.31


def test_int4_has_at_most_a_fifth_of_the_size(jobs):
    assert jobs["int4"]["summary"]["size_ratio"] <= 0.20


@pytest.mark.parametrize("bits", ["int8", "int4"])
def test_every_layer_runs_as_an_integer_kernel(models, bits):
    operators = optimised_operators(models[bits])
    assert (operators["QLinearConv"], operators["QGemm"]) == (19, 1)
    assert operators["Conv"] == operators["FusedConv"] == operators["Gemm"] == 0
    assert operators["DequantizeLinear(weight)"] == 0


def test_int4_runs_with_the_kernels_of_int8(models):
    """INT4 weights are unpacked when the file is loaded, so inference is as fast; benchmarks/pipeline.py times it."""
    assert optimised_operators(models["int4"]) == optimised_operators(models["int8"])
