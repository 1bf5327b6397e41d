"""The comparison with a baseline in Markdown, which follows the report in the comment of a pull request."""

from collections.abc import Sequence

from quantd.figures import Document
from quantd.regression import RegressionCheck


def comparison_markdown(baseline: Document | None, checks: Sequence[RegressionCheck]) -> str:
    """Return one heading and a line for each metric that has a limit.

    Args:
        baseline: the job; None if there is none yet.
        checks: the metrics with a limit.
    """
    if baseline is None:
        return "\n### No baseline yet\n"
    failed = sum(not check.passed for check in checks)
    passed = "no regression" if checks else "no figure has a limit"
    verdict = f"{failed} of {len(checks)} figures regressed" if failed else passed
    lines = [f"- {'pass' if check.passed else '**fail**'}: {check.sentence}" for check in checks]
    return "\n".join(["", f"### Compared with `{baseline['id']}`: {verdict}", "", *lines, ""])
