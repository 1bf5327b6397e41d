"""The list of jobs by tags and times."""

import pytest

from tests.specs import QUICK


def test_jobs_are_listed_by_tags_and_by_time(http, uploaded):
    first, second = (
        http.post(
            "/v1/jobs", json={"model": uploaded["model"], "spec": QUICK, "tags": {"list": "x", "n": str(n)}}
        ).json()
        for n in range(2)
    )

    def listed(**query):
        return [job["id"] for job in http.get("/v1/jobs", params={"tag": "list:x", **query}).json()["items"]]

    assert listed() == [second["id"], first["id"]]
    assert listed(tag=["list:x", "n:0"]) == [first["id"]]
    assert listed(created_after=second["created_at"]) == [second["id"]]
    assert listed(created_before=second["created_at"]) == [first["id"]]
    assert listed(created_after="2000-01-01T00:00:00Z", created_before="2000-01-02T00:00:00+02:00") == []


@pytest.mark.parametrize(
    "query",
    [
        {"tag": "x"},
        {"tag": ["a:b", ":c"]},
        {"created_after": "yesterday"},
        {"created_before": "2026-01-01T00:00"},
        {"created_after": "0001-01-01T00:00:00+23:59"},
        {"created_before": "9999-12-31T23:59:59-23:59"},
    ],
)
def test_a_filter_that_cannot_be_read_is_refused(http, query):
    response = http.get("/v1/jobs", params=query)
    assert (response.status_code, response.json()["code"]) == (400, "request.invalid")
