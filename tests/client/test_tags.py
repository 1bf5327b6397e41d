"""Tags on the command line."""

import pytest

from quantd.errors import ClientError
from quantd.tags import parse_tag


def test_a_value_may_hold_equals_signs_and_colons():
    assert parse_tag("--tag", "url=http://a?b=c") == ("url", "http://a?b=c")
    assert parse_tag("--tag", "empty=") == ("empty", "")


@pytest.mark.parametrize("text", ["branch", "=main", "a:b=c", ""])
def test_another_form_is_refused_with_the_accepted_one(text):
    with pytest.raises(ClientError, match="accepted: KEY=VALUE"):
        parse_tag("--tag", text)
