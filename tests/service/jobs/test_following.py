"""The wait that a Prefer header asks for."""

import pytest

from service.jobs.following import preferred_wait


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None), ("", None), ("respond-async", None), ("wait=5", 5), ("respond-async, wait=9", 9),
        ("wait=600", 60), ("wait=-1", None), ("wait=x", None),
    ],
)  # fmt: skip
def test_the_wait_is_parsed_and_limited(header, seconds):
    assert preferred_wait(header) == seconds
