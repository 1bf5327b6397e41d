"""The wait that a Prefer header asks for."""

import pytest

from jobs.errors import RateLimited
from service.context import Caller, OpenStreams
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


def test_a_caller_has_a_limited_number_of_places_and_others_have_theirs():
    streams, callers = OpenStreams(most=2), [Caller(key_id="a"), Caller(key_id="b")]
    with streams.place(callers[0]), streams.place(callers[0]):
        with pytest.raises(RateLimited, match="2 event streams"), streams.place(callers[0]):
            pass
        with streams.place(callers[1]):
            pass
    with streams.place(callers[0]):
        pass
