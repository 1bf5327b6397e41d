"""The tree of errors: codes are distinct and keep the family of their base."""

import pytest

from quant import errors
from quant.errors import MOST_FAULTS, DatasetError, FieldError, ModelError, QuantdError, SpecError

LEAVES = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, QuantdError)]


def test_codes_and_titles_are_distinct():
    assert len({error.code for error in LEAVES}) == len(LEAVES)
    assert len({error.title for error in LEAVES}) == len(LEAVES)


@pytest.mark.parametrize(("base", "family"), [(ModelError, "model"), (DatasetError, "dataset"), (SpecError, "spec")])
def test_a_code_begins_with_its_family(base, family):
    for error in (base, *base.__subclasses__()):
        assert error.code.split(".")[0] == family


@pytest.mark.parametrize("error", LEAVES, ids=lambda error: error.__name__)
def test_an_error_shows_its_detail_and_keeps_the_faults(error):
    fault = FieldError("/weights/bits", "accepted: 8, 6, 4, 3 or 2")
    raised = error("the spec is not valid", [fault])
    assert (str(raised), raised.detail, raised.errors) == ("the spec is not valid", "the spec is not valid", (fault,))


def test_every_error_says_when_it_is_raised():
    assert all(error.__doc__ and error.__doc__ != error.__base__.__doc__ for error in LEAVES)


def test_an_error_lists_at_most_fifty_faults_with_short_texts():
    faults = [FieldError(f"/{number}" + "x" * 5000, "d" * 5000) for number in range(70)]
    error = SpecError("s" * 5000, faults)
    assert len(error.errors) == MOST_FAULTS + 1
    assert error.errors[-1].detail == "20 more faults are left out"
    assert max(len(text) for fault in error.errors for text in (fault.pointer, fault.detail, error.detail)) == 1024
