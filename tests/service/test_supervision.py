"""Background tasks outlive every error of their steps."""

import asyncio

from service.supervision import FAILURES, Repeated


def test_a_step_that_fails_is_counted_shown_and_repeated_until_it_succeeds():
    seen = []

    async def step():
        seen.append(task.state.model_copy())
        if len(seen) < 4:
            raise [ValueError, KeyError, UnicodeError][len(seen) - 1]("odd")

    async def run():
        running = asyncio.create_task(task.run())
        while len(seen) < 5:
            await asyncio.sleep(0.001)
        running.cancel()

    task = Repeated("odd step", step, 0.001)
    asyncio.run(run())
    assert [(state.failures, state.error) for state in seen[:5]] == [
        (0, None), (1, "ValueError"), (2, "KeyError"), (3, "UnicodeError"), (0, None),
    ]  # fmt: skip
    assert seen[1].failing_since == seen[3].failing_since
    assert FAILURES.labels("odd step")._value.get() == 3
