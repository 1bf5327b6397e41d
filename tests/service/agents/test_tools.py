"""The tools for agents, called by a real MCP client."""

import json

import httpx
import pytest

from jobs.keys import Allowance, Scope
from service.jobs.schemas import JobOut
from tests.agent import ask
from tests.specs import QUICK, UNTIMED

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
ACCEPT = {"Accept": "application/json"}


def refusal(result):
    """Return the code and the pointers of a call that failed."""
    assert result.is_error
    problem = result.structured_content
    assert json.loads(result.content[0].text) == problem
    return problem["code"], [fault["pointer"] for fault in problem["errors"]]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_an_agent_plans_quantizes_and_compares(http, stack, uploaded, mode):
    model = uploaded["model"]
    specs = [{**QUICK, **UNTIMED, "preset": preset} for preset in ("int8-weights", "int4-weights")]
    calls = [("quantize", {"model": model, "spec": spec}) for spec in specs]
    plan, *jobs = ask(stack.url, ("plan", {"model": model, "spec": specs[0], "layers": 2}), *calls, mode=mode)
    assert len(plan.structured_content["worst_layers"]) == 2
    a, b = (job.structured_content["id"] for job in jobs)
    wait = ("get_job", {"job": b, "wait_s": 50})
    while ask(stack.url, wait, mode=mode)[0].structured_content["status"] in ("queued", "running"):
        pass
    job, report, comparison = ask(
        stack.url,
        ("get_job", {"job": a}),
        ("get_report", {"job": b, "layers": 1}),
        ("compare", {"baseline": a, "job": b, "layers": 1}),
        mode=mode,
    )
    shown = JobOut.model_validate(http.get(f"/v1/jobs/{a}").json())
    assert job.structured_content == shown.model_dump(mode="json", exclude_none=True)
    assert plan.structured_content["size"]["bytes_after"] == job.structured_content["summary"]["bytes_after"]
    whole = http.get(f"/v1/jobs/{b}/report").json()
    assert report.structured_content["diagnosis"]["sentence"] == whole["diagnosis"]["sentence"]
    assert report.structured_content["worst_layers"][0]["bits"] == 4
    assert report.structured_content["worst_layers"][0]["name"] == whole["worst_layers"][0]
    compared = http.get(f"/v1/jobs/{a}/compare/{b}").json()
    assert comparison.structured_content["changed_layers"] == len(compared["layers"])
    assert max(len(result.content[0].text) for result in (plan, job, report, comparison)) < 10_000


def test_a_failed_call_has_the_problem_of_the_api(http, stack, uploaded):
    model, unknown = uploaded["model"], {"wieghts": {}}
    results = ask(
        stack.url,
        ("quantize", {"model": model, "spec": unknown}),
        ("quantize", {"modle": model}),
        ("quantize", {"model": model}),
        ("get_job", {"job": "job_0", "wait_s": 1000}),
        ("get_job", {"job": "job_0"}),
        ("plan", {"model": "model_0"}),
        ("quantize", {"model": model, "calibration": "https://example.org/data.npz"}),
        ("plan", {"model": "https://example.org/" + "x" * 4096}),
    )
    assert [refusal(result) for result in results] == [
        ("spec.invalid", ["/wieghts"]),
        ("request.invalid", ["/model", "/modle"]),
        ("spec.data_required", ["/activations"]),
        ("request.invalid", ["/wait_s"]),
        ("not_found", []),
        ("not_found", []),
        ("remote.not_allowed", ["/calibration"]),
        ("request.invalid", ["/model"]),
    ]
    assert results[0].structured_content == http.post("/v1/jobs", json={"model": model, "spec": unknown}).json()
    call = {**LIST, "method": "tools/call", "params": {"name": "train"}}
    error = http.post("/mcp", json=call, headers=ACCEPT).json()["error"]
    assert error["message"].startswith("unknown tool 'train'; accepted: plan, quantize")


def test_a_key_has_its_scopes_its_tenant_and_its_limits(keyed, keyring, shared_job):
    job = ("get_job", {"job": shared_job["id"]})
    submission = ("quantize", {"model": shared_job["model"], "spec": {**QUICK, "seed": 1}})
    _, reader = keyring.create("alice", "reader", (Scope.READ,), Allowance(rate=10))
    found, refused = ask(keyed.url, job, submission, key=reader, mode="legacy")
    assert found.structured_content["status"] == "succeeded"
    assert refusal(refused) == ("auth.scope", [])
    _, stranger = keyring.create("bob", "stranger", tuple(Scope), Allowance())
    assert refusal(ask(keyed.url, job, key=stranger)[0]) == ("not_found", [])
    _, full = keyring.create("alice", "full", tuple(Scope), Allowance(stored=0))
    assert refusal(ask(keyed.url, submission, key=full)[0]) == ("quota.stored_bytes", [])
    audited = [json.loads(line) for line in (keyed.folder / "audit.log").read_text().splitlines()]
    tools = [(line["action"], line["status"]) for line in audited if line["path"] == "/mcp"]
    assert tools[-2:] == [("quantize", 403), ("quantize", 413)]
    headers = {"Authorization": f"Bearer {reader}"}
    answers = [httpx.post(f"{keyed.url}/mcp", json=LIST, headers=headers) for _ in range(10)]
    assert answers[-1].json()["code"] == "rate.limited"


def test_a_foreign_page_reaches_no_tool(keyed, stack, alice):
    for headers, code in (
        ({}, "auth.required"),
        ({"Authorization": f"Bearer {alice.key}", "Origin": "https://example.org"}, "auth.misdirected"),
    ):
        assert httpx.post(f"{keyed.url}/mcp", json=LIST, headers=headers).json()["code"] == code
    assert alice.client.post("/mcp", json=LIST, headers=ACCEPT).json()["code"] == "auth.csrf"
    for headers in ({"Host": "example.org"}, {"Origin": "https://example.org"}):
        assert httpx.post(f"{stack.url}/mcp", json=LIST, headers=headers).json()["code"] == "auth.misdirected"


def test_the_path_answers_single_messages_of_a_limited_size(http):
    assert http.get("/mcp").headers["allow"] == "POST"
    assert http.post("/mcp", json=[LIST, LIST], headers=ACCEPT).status_code == 400
    assert http.post("/mcp", json=[0] * 1_000_000).json()["code"] == "request.too_large"
    assert 'route="/mcp"' in http.get("/metrics").text
