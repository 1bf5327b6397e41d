"""The list of jobs: filters, pages, live progress, and the choice of two to compare."""

import json
import re

import pytest

from service.pages.jobs_page import SHOWN, Filters
from tests.service.pages.jobs import HOSTILE
from tests.specs import QUICK


@pytest.fixture(scope="module")
def jobs(http, run_job, uploaded, examples):
    """Jobs that passed, failed their gate, and failed, by name."""
    ids = uploaded
    broken = http.post(
        "/v1/models", content=(examples / "digits.onnx").read_bytes()[:-500], params={"filename": HOSTILE}
    ).json()["id"]
    return {
        "pass": run_job(**ids, spec=QUICK | {"gates": {"max_size_ratio": 0.9}}, tags={"page": "list", "n": "1"}),
        "fail": run_job(**ids, spec=QUICK | {"gates": {"max_size_ratio": 0.01}}, tags={"page": "list", "n": "2"}),
        "failed": run_job(model=broken, spec=QUICK, tags={"page": "list", "<i>": HOSTILE}),
    }


def listed(http, **query):
    response = http.get("/", params=query)
    assert response.status_code == 200, response.text
    return re.findall(r'<tr id="row-(job_\w+)"', response.text)


def test_the_filters_select_jobs(http, jobs):
    ids = {name: job["id"] for name, job in jobs.items()}
    assert listed(http, tag="page:list") == [ids["failed"], ids["fail"], ids["pass"]]
    assert listed(http, tag="page:list", verdict="pass") == [ids["pass"]]
    assert listed(http, tag="page:list", status="failed", verdict="") == [ids["failed"]]
    assert listed(http, tag="page:list", name="ALERT(1)") == [ids["failed"]]
    assert listed(http, tag="n:2", name="no such name") == []


def test_every_filter_is_kept_in_the_links(http, jobs):
    page = http.get("/", params={"tag": "page:list", "status": "failed"}).text
    assert 'href="/?status=queued&amp;tag=page%3Alist"' in page
    assert 'aria-current="true">Failed' in page
    assert '<input type="hidden" name="status" value="failed">' in page


def test_unknown_values_filter_nothing():
    assert Filters.of({"status": "x", "verdict": "y", "tag": "  ", "page": "1"}) == Filters()


def test_a_filter_without_a_match_says_so(http, jobs):
    page = http.get("/", params={"tag": "page:none"}).text
    assert "No job matches" in page
    assert 'href="/"' in page


def test_hostile_names_are_text(http, jobs):
    page = http.get("/", params={"tag": "page:list"}).text
    assert "alert(1)" in page
    assert "<img src=x" not in page
    assert "<i>" not in page


def test_a_page_has_a_link_to_older_jobs(http, jobs, uploaded):
    for number in range(SHOWN):
        http.post(
            "/v1/jobs", json={"model": uploaded["model"], "spec": QUICK, "tags": {"page": "many", "n": str(number)}}
        )
    page = http.get("/", params={"tag": "page:many"})
    assert ">Older<" not in page.text
    first = listed(http)
    cursor = re.search(r'href="/\?cursor=(job_\w+)"[^>]*>Older<', http.get("/").text).group(1)
    assert cursor == first[-1]
    older = http.get("/", params={"cursor": cursor}).text
    assert ">Newest<" in older
    assert max(re.findall(r'"row-(job_\w+)"', older)) < min(first)


def test_two_chosen_jobs_are_compared_the_older_one_first(http, jobs):
    ids = [jobs["fail"]["id"], jobs["pass"]["id"]]
    response = http.get("/jobs/compare", params={"job": ids})
    assert response.status_code == 303
    assert response.headers["location"] == f"/compare?a={ids[1]}&b={ids[0]}"


@pytest.mark.parametrize("number", [0, 1, 3])
def test_any_other_number_of_jobs_is_refused(http, number):
    response = http.get("/jobs/compare", params={"job": ["job_x"] * number}, headers={"Accept": "text/html"})
    assert response.status_code == 400
    assert f"{number} jobs were chosen; accepted: two" in response.text


def events(http, ids):
    """The events of the list's stream, up to its end."""
    with http.stream("GET", "/jobs/events", params={"job": ids}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        kind = None
        for line in response.iter_lines():
            name, _, value = line.partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                yield kind, json.loads(value)


def test_one_stream_has_the_progress_of_all_listed_jobs(http, uploaded):
    submitted = [
        http.post("/v1/jobs", json=uploaded | {"spec": QUICK | {"seed": seed}}, headers={"Cache-Control": "no-cache"})
        for seed in (101, 102)
    ]
    ids = [response.json()["id"] for response in submitted]
    received = list(events(http, [*ids, "job_unknown"]))
    assert received[-1] == ("end", {})
    states = [data for kind, data in received if kind == "job"]
    assert {state["id"] for state in states} == set(ids)
    assert [state["id"] for state in states if state["final"]] == sorted(ids, key=lambda job_id: ids.index(job_id))
    assert all(state["fraction"] is None for state in states if state["final"])


def test_the_stream_names_at_most_a_page_of_jobs(http):
    assert http.get("/jobs/events", params={"job": ["x"] * (SHOWN + 1)}).status_code == 400
    assert http.get("/jobs/events").status_code == 400


def test_an_empty_list_says_how_to_start(new_person):
    page = new_person("newcomer").client.get("/").text
    assert "No jobs yet" in page
    assert "quantd quantize" in page
