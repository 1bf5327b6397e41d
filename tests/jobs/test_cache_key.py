"""The cache key changes with everything that the artifacts depend on, and with nothing else."""

import pytest

from jobs.cache_key import engine, plan_digest, work_digest
from jobs.job import Upload, now
from quant.spec import resolve

MODEL = Upload(
    id="model_1", tenant="t", key="k", sha256="aa", size=1, filename="a.onnx", created_at=now(), format="onnx"
)
DATA = MODEL.model_copy(update={"id": "dataset_1", "sha256": "bb"})
SPEC = resolve({})


def test_equal_work_has_an_equal_key():
    again = MODEL.model_copy(update={"id": "model_2", "key": "other", "created_at": "later"})
    assert work_digest(MODEL, DATA, None, SPEC) == work_digest(again, DATA, None, SPEC)


def test_other_work_has_another_key(monkeypatch):
    keys = {
        work_digest(MODEL, None, None, SPEC),
        work_digest(MODEL.model_copy(update={"sha256": "cc"}), None, None, SPEC),
        work_digest(MODEL.model_copy(update={"filename": "b.onnx"}), None, None, SPEC),
        work_digest(MODEL, DATA, None, SPEC),
        work_digest(MODEL, None, DATA, SPEC),
        work_digest(MODEL, None, None, SPEC.model_copy(update={"seed": 1})),
    }
    monkeypatch.setattr("jobs.cache_key.engine", lambda: "other")
    keys.add(work_digest(MODEL, None, None, SPEC))
    assert len(keys) == 7


def test_a_plan_has_another_key_than_the_job_without_data():
    assert plan_digest(MODEL, SPEC) == plan_digest(MODEL.model_copy(update={"id": "model_2"}), SPEC)
    assert (
        len({plan_digest(MODEL, SPEC), plan_digest(MODEL, resolve({"seed": 1})), work_digest(MODEL, None, None, SPEC)})
        == 3
    )


@pytest.mark.parametrize("name", ["grid.py", "page.html", "page.css", "page.js"])
def test_the_engine_changes_with_the_code_and_the_parts_of_the_page(monkeypatch, tmp_path, name):
    monkeypatch.setattr("jobs.cache_key._source", lambda: tmp_path)
    digests = []
    for text in ("a", "b"):
        (tmp_path / name).write_text(text)
        engine.cache_clear()
        digests.append(engine())
    engine.cache_clear()
    assert digests[0] != digests[1]


def test_the_engine_names_its_libraries():
    assert "onnxruntime " in engine()
