"""The page that compares two jobs."""

import re

import numpy as np
import pytest

from tests.quant.onnx_text import proto_of
from tests.service.pages.jobs import HOSTILE
from tests.specs import QUICK

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def jobs(http, run_job):
    """Two jobs of a model whose layer and file have names of a hostile owner."""
    model = proto_of("net (float[n, 8] x) => (float[n, 8] y) {y = MatMul(x, w)}", w=RNG.standard_normal((8, 8)))
    model = model.replace(b"matmul0", b"<b>@all")  # a name of the same length
    uploaded = http.post("/v1/models", content=model, params={"filename": HOSTILE}).json()
    specs = (QUICK, QUICK | {"weights": {"bits": 4, "clipping": "minmax", "distributions": ["gaussian"]}})
    return [run_job(model=uploaded["id"], spec=spec) for spec in specs]


def shown(http, a, b):
    return http.get("/compare", params={"a": a, "b": b}, headers={"Accept": "text/html"})


def test_the_page_shows_both_jobs_with_their_differences(http, jobs):
    page = shown(http, *(job["id"] for job in jobs))
    assert page.status_code == 200
    assert all(f"/jobs/{job['id']}" in page.text for job in jobs)
    assert "bits 8 → 4" in page.text
    assert "<code>/weights/bits</code>" in page.text
    assert re.search(r'class="bad">worse', page.text)


def test_names_are_escaped(http, jobs):
    page = shown(http, *(job["id"] for job in jobs))
    assert "&lt;b&gt;@all" in page.text
    assert "<b>" not in page.text
    assert "<script>alert" not in page.text


def test_a_missing_job_is_chosen_from_a_list(http, jobs):
    a = jobs[0]["id"]
    page = http.get("/compare", params={"a": a})
    assert page.status_code == 200
    assert f'<option value="{a}" selected>' in page.text
    assert f'<option value="{jobs[1]["id"]}">' in page.text


@pytest.mark.parametrize("other", ["job_0", "../../etc", "<script>alert(1)</script>"])
def test_an_unknown_job_is_404(http, jobs, other):
    page = shown(http, jobs[0]["id"], other)
    assert page.status_code == 404
    assert "<script>alert" not in page.text


def test_equal_jobs_have_no_difference(http, jobs):
    page = shown(http, jobs[0]["id"], jobs[0]["id"])
    assert "Both jobs have the same spec." in page.text
    assert "1 layer is the same in both." in page.text
