"""`quantd compare` against a running service."""

import json

from tests import command
from tests.specs import QUICK


def test_two_jobs_are_compared_for_people_and_for_machines(stack, run_job, uploaded):
    data = {"model": uploaded["model"], "evaluation": uploaded["evaluation"]}
    jobs = [
        run_job(spec={**QUICK, "preset": preset, "gates": {"max_size_ratio": limit}}, **data)["id"]
        for preset, limit in (("int8-weights", 0.2), ("int4-weights", 0.2))
    ]
    result = command.quantd("compare", *jobs, QUANTD_URL=stack.url)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert "(verdict fail): " in lines[0]
    assert any(line.startswith("worse       output_sqnr_db") for line in lines)
    assert any(line.startswith("better      size_ratio") for line in lines)
    assert any(line.startswith("gate        max_size_ratio: a FAIL") and "b pass" in line for line in lines)
    assert any(line.startswith("spec        /weights/bits: 8 -> 4") for line in lines)
    assert sum(line.startswith("layer ") for line in lines) == 5
    assert json.loads(command.quantd("compare", *jobs, "--json", QUANTD_URL=stack.url).stdout)["same_model"] is True
