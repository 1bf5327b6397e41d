"""Measure the studies and write their pages and plots.

    python -m benchmarks.evidence [--quick] [--page] [STUDY...]

Without options, the studies go on where they stopped, and write to docs/evidence/. With --quick, a small form of each
is measured anew into build/evidence/. With --page, pages and plots are written without measuring.
"""

import argparse
import time
from importlib import import_module

from benchmarks.evidence.study import QUICK, RECORDED

STUDIES = ("mean_shift", "clip_bounds", "non_uniform", "two_bits", "ternary", "bounds", "fleet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="measure a small form anew into build/evidence/")
    parser.add_argument("--page", action="store_true", help="write pages and plots without measuring")
    parser.add_argument("studies", nargs="*", choices=[*STUDIES, []], help=f"some of {', '.join(STUDIES)}")
    arguments = parser.parse_args()
    folder = QUICK if arguments.quick else RECORDED
    folder.mkdir(parents=True, exist_ok=True)
    for name in arguments.studies or STUDIES:
        study, path = import_module(f"benchmarks.evidence.{name}"), folder / f"{name}.csv"
        started = time.perf_counter()
        if arguments.quick:
            path.unlink(missing_ok=True)
        if not arguments.page:
            study.run(path, quick=arguments.quick)
        study.plot(path)
        path.with_suffix(".md").write_text(study.page(path))
        print(f"{path.with_suffix('.md')}: {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
