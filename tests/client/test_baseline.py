"""The comparison with a baseline: found by tag or id, checked against limits."""

import secrets

import pytest

from quantd.api import Client
from quantd.baseline import Baseline
from quantd.errors import ClientError
from tests.specs import QUICK


@pytest.fixture
def client(stack):
    with Client(stack.url) as client:
        yield client


@pytest.fixture
def run(client, examples, tmp_path):
    """Run a job for the example model under another file name, and return it."""

    def run(tag, name="a.onnx", spec=QUICK):
        path = tmp_path / name
        # other bytes for each name: the same bytes keep the name of their first upload
        note = f"{name}{secrets.token_hex(8)}".encode()
        path.write_bytes((examples / "digits.onnx").read_bytes() + b"\x32" + bytes([len(note)]) + note)
        return client.quantize(client.upload(path), spec, tags={"branch": tag}).wait().document

    return run


def test_without_options_there_is_no_baseline():
    assert Baseline.parse(None, []) is None


@pytest.mark.parametrize(
    ("name", "limits", "detail"),
    [
        (None, ["output_sqnr_db=1"], "needs --baseline"),
        ("tag:main", [], "accepted: KEY=VALUE"),
        ("branch:main", [], "accepted: tag:KEY=VALUE, or the id of a job"),
        ("tag:branch=main", ["output_sqnr=1"], "there is no metric 'output_sqnr'; did you mean output_sqnr_db[?]"),
        ("tag:branch=main", ["output_sqnr_db=x"], "'x' is not a number"),
        ("tag:branch=main", ["output_sqnr_db=-1"], "at least 0"),
    ],
)
def test_bad_options_are_refused_with_what_is_accepted(name, limits, detail):
    with pytest.raises(ClientError, match=detail):
        Baseline.parse(name, limits)


def test_the_newest_succeeded_job_of_the_tag_and_the_model_name_is_found(client, run):
    tag = secrets.token_hex(8)
    run(tag)
    newest = run(tag)
    run(tag, name="a.onnx.other")
    client.quantize(newest["model"], {**QUICK, "activations": None, "seed": 1}, tags={"branch": tag}).cancel()
    baseline = Baseline.parse(f"tag:branch={tag}", [])
    assert baseline.find(client, "a.onnx")["id"] == newest["id"]
    assert baseline.find(client, "onnx") is None
    assert str(baseline) == f"tag branch={tag}"


def test_a_first_build_has_no_baseline(client):
    assert Baseline.parse("tag:branch=none-of-this-name", []).find(client, "a.onnx") is None


def test_a_job_is_named_by_its_id(client, run):
    job = run("x")
    assert Baseline.parse(job["id"], []).find(client, "other name")["id"] == job["id"]
    with pytest.raises(ClientError, match="no job"):
        Baseline.parse("job_none", []).find(client, None)


def test_a_cancelled_job_is_no_baseline(client, uploaded):
    job = client.quantize(uploaded["model"], {**QUICK, "seed": 77}).cancel()
    if job.wait(check=False).status == "cancelled":
        with pytest.raises(ClientError, match="accepted: a succeeded job"):
            Baseline.parse(job.id, []).find(client, None)


def test_limits_are_checked_against_the_baseline(run):
    four_bits, eight_bits = run("y", spec={**QUICK, "preset": "int4-weights"}), run("y")
    baseline = Baseline.parse(eight_bits["id"], ["weight_sqnr_db=0.5", "size_ratio=0"])
    assert [check.passed for check in baseline.check(eight_bits, four_bits)] == [False, True]
    assert all(check.passed for check in baseline.check(eight_bits, eight_bits))
