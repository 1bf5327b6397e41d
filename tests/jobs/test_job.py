"""Ids sort by time, and times are RFC 3339."""

import re
from itertools import pairwise

import pytest

from jobs.job import FINAL, Job, Status, new_id, now


def test_later_ids_do_not_sort_before_earlier_ones(monkeypatch):
    clock = iter(range(10**18, 10**18 + 50 * 10**6, 10**6))
    monkeypatch.setattr("jobs.job.time.time_ns", lambda: next(clock))
    assert all(first < second for first, second in pairwise(new_id("job") for _ in range(50)))


def test_times_are_utc_to_the_millisecond():
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", now())


@pytest.mark.parametrize("status", Status)
def test_a_job_is_final_in_its_final_states_only(status):
    job = Job(id="job_1", tenant="t", status=status, model="model_1", spec={}, created_at=now())
    assert job.final == (status in FINAL)
