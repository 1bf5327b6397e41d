"""`python -m tests.coverage_table` prints the lines that the tests ran, by package, from coverage's data files."""

import sys
from collections import Counter
from pathlib import Path

from coverage import Coverage
from rich.console import Console
from rich.table import Table


def main() -> None:
    """Combine the data of all test processes and print a row for each package."""
    coverage = Coverage()
    coverage.combine()
    coverage.save()
    statements, missed = count_lines(coverage)
    table = Table("package", "statements", "missed", "covered")
    for package in sorted(statements):
        table.add_row(package, *row(statements[package], missed[package]))
    table.add_section()
    table.add_row("all", *row(statements.total(), missed.total()))
    Console(file=sys.stdout).print(table)


def count_lines(coverage: Coverage) -> tuple[Counter[str], Counter[str]]:
    """Return the statements and the missed statements of each package."""
    statements: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    for file in coverage.get_data().measured_files():
        if not file.endswith(".py"):  # a compiled template
            continue
        _, lines, _, missing, _ = coverage.analysis2(file)
        package = ".".join(Path(file).relative_to(Path.cwd()).parts[:-1][:2])
        statements[package] += len(lines)
        missed[package] += len(missing)
    return statements, missed


def row(statements: int, missed: int) -> tuple[str, str, str]:
    """Return the cells of a row: statements, missed statements and the covered share."""
    return str(statements), str(missed), f"{100 * (1 - missed / max(statements, 1)):.1f} %"


if __name__ == "__main__":
    main()
