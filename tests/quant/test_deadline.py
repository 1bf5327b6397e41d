"""A deadline: what is asked for in time is done, and what is asked for later is left out and listed."""

from quant.deadline import UNLIMITED, Deadline


def test_work_is_left_out_once_the_time_is_over():
    seconds = iter([10.0, 11.0, 12.0, 13.0, 14.0])
    deadline = Deadline(2, lambda: next(seconds))
    assert not deadline.skips("the fits")
    assert deadline.skips("bias correction")
    assert deadline.skips("the comparison of candidates")
    assert deadline.skips("bias correction")
    assert deadline.skipped == ("bias correction", "the comparison of candidates")


def test_without_a_limit_nothing_is_left_out():
    assert not UNLIMITED.skips("the fits")
    assert UNLIMITED.skipped == ()
