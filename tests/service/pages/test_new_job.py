"""The page for a new job keeps what was typed, says what is wrong, plans, and starts the job once."""

import re
from html import unescape

import pytest

from quant.spec import PRESETS, PROFILES
from tests.service.pages.jobs import HOSTILE
from tests.specs import QUICK_WEIGHTS

HTML = {"Accept": "text/html"}
QUICK_OPTIONS = f"weights: {QUICK_WEIGHTS}"


@pytest.fixture(scope="module")
def form(uploaded):
    return uploaded | {"preset": "int8-weights", "options": QUICK_OPTIONS, "tags": "page: new", "once": "a"}


def send(http, form, action="submit", **fields):
    return http.post("/new", data=form | {"action": action} | fields, headers=HTML)


def part(page, element_id):
    """The text of an element, up to the end of its tag's name."""
    tag, content = re.search(rf'<(\w+)[^>]* id="{element_id}"[^>]*>(.*)', page, re.DOTALL).groups()
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", content.partition(f"</{tag}>")[0]))).strip()


def job_of(http, response):
    assert response.status_code == 303, response.text
    return http.get("/v1" + response.headers["location"], headers={"Prefer": "wait=60"}).json()


def test_the_page_offers_the_stored_files_and_all_presets(http, uploaded):
    page = http.get("/new").text
    assert (
        f'<option value="{uploaded["model"]}">digits' in page or f'<option value="{uploaded["model"]}">model_' in page
    )
    assert page.count('type="radio"') == len(PRESETS)
    assert all(f'<option value="{profile}"' in page for profile in PROFILES)
    assert 'name="gate.min_output_sqnr_db"' in page


def test_a_submitted_form_starts_a_job(http, form):
    job = job_of(http, send(http, form, **{"gate.max_size_ratio": "0.9"}))
    assert job["status"] == "succeeded", job["error"]
    assert job["spec"] == {"preset": "int8-weights", "weights": QUICK_WEIGHTS, "gates": {"max_size_ratio": 0.9}}
    assert (job["tags"], job["verdict"]) == ({"page": "new"}, "pass")


def test_the_same_form_sent_twice_starts_one_job(http, form):
    first, again = (send(http, form, once="twice").headers["location"] for _ in range(2))
    assert first == again
    assert send(http, form, once="twice", tags="page: other").headers["location"] != first
    assert send(http, form, once="thrice").headers["location"] != first


def test_a_refused_form_keeps_everything_that_was_typed(http, form):
    fields = {
        "options": f"weights: {{bits: 1}}\n# {HOSTILE}",
        "tags": HOSTILE.replace(":", ""),
        "gate.max_size_ratio": HOSTILE,
    }
    response = send(http, form, **fields, preset="int4", rerun="1")
    assert response.status_code == 422
    page = response.text
    assert part(page, "options") == fields["options"].replace("\n", " ").replace(HOSTILE, part(page, "tags"))
    assert 'value="int4" checked' in page
    assert re.search(r'name="rerun" value="1" checked', page)
    assert f'value="{form["model"]}" selected' in page
    assert "<img src=x" not in page


@pytest.mark.parametrize(
    ("fields", "element", "text"),
    [
        ({"model": ""}, "fault-model", "Choose a model"),
        ({"preset": "int8", "calibration": ""}, "fault-calibration", "needs calibration data"),
        ({"gate.min_output_sqnr_db": "20", "evaluation": ""}, "fault-evaluation", "evaluation data"),
        ({"gate.min_output_sqnr_db": "x"}, "fault-gate-min_output_sqnr_db", "not a number"),
        ({"tags": "main"}, "fault-tags", "key: value"),
        (
            {"options": "seed: 1\nwieghts: 3"},
            "options-check",
            "Line 2 /wieghts : unknown key `wieghts`: did you mean `weights`?; accepted: ",
        ),
    ],
)
def test_a_fault_is_shown_at_its_field_and_in_the_summary(http, form, fields, element, text):
    response = send(http, form, **fields)
    assert response.status_code == 422
    assert text in part(response.text, element)
    assert 'aria-invalid="true"' in response.text
    assert "The job was not started" in response.text


def test_a_check_starts_nothing_and_blames_nobody(http, form):
    response = send(http, form, "check", options="wieghts: 3")
    assert response.status_code == 200
    assert "Line 1" in part(response.text, "options-check")
    assert "was not started" not in response.text
    assert "The spec is valid" in send(http, form, "check").text


def test_a_model_that_is_gone_is_a_problem_with_its_status(http, form):
    response = send(http, form, model="model_gone")
    assert response.status_code == 404
    assert "there is no model" in response.text
    assert "model_gone (deleted: choose another)" in response.text


def test_run_again_fills_the_form_from_the_job(http, form):
    job = job_of(http, send(http, form, once="again", **{"gate.max_size_ratio": "0.5"}))
    page = http.get("/new", params={"from": job["id"]}).text
    assert 'value="int8-weights" checked' in page
    assert f'value="{form["calibration"]}" selected' in page
    assert re.search(r'name="gate.max_size_ratio" value="0.5"', page)
    assert "clipping: minmax" in part(page, "options")
    assert part(page, "tags") == "page: new"
    assert http.get("/new", params={"from": "job_gone"}, headers=HTML).status_code == 404


def test_a_plan_shows_what_the_job_would_do(http, form):
    response = send(http, form, "plan", options="", calibration="", preset="int8")
    assert response.status_code == 200
    while "data-pending" in response.text:
        response = send(http, form, "plan", options="", calibration="", preset="int8")
    plan = part(response.text, "plan")
    assert "7 layers to quantize" in plan
    assert "integer convolution" in plan
    assert "codebook4" in plan


def test_a_plan_of_a_broken_model_says_why(http, form, examples):
    broken = http.post("/v1/models", content=(examples / "digits.onnx").read_bytes()[:-300]).json()["id"]
    assert "cut short" in part(send(http, form, "plan", model=broken).text, "plan")
    assert "there is no model" in part(send(http, form, "plan", model="model_gone").text, "plan")


def test_a_plan_without_a_model_or_with_a_bad_spec_is_not_made(http, form):
    assert part(send(http, form, "plan", model="").text, "plan") == ""
    assert part(send(http, form, "plan", options="a: 1").text, "plan") == ""


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_a_foreign_page_starts_no_job(http, form, headers):
    response = http.post("/new", data=form | {"action": "submit"}, headers=HTML | headers)
    assert response.status_code == 421
