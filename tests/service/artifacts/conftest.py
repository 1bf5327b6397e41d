"""An artifact of a job that has succeeded."""

import pytest

from tests.specs import QUICK


@pytest.fixture(scope="package")
def artifact(http, run_job, uploaded):
    """The URL of model.onnx and the response to a GET of it."""
    job = run_job(model=uploaded["model"], spec=QUICK)
    url = f"/v1/jobs/{job['id']}/artifacts/model.onnx"
    return url, http.get(url)
