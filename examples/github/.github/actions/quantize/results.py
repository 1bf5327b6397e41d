"""Turn the files of `quantd quantize` into the outputs, the annotations and the summary of a step."""

import json
import os
import sys
from pathlib import Path
from xml.etree import ElementTree


def main(folder: Path) -> None:
    """Write the results of the job whose files are in `folder`; without a job there is nothing to write."""
    if not (folder / "result.json").exists():
        return
    job = json.loads((folder / "result.json").read_text())
    failures = list(ElementTree.parse(folder / "gates.xml").iter("failure"))
    for failure in failures:
        print(f"::error title=quantd::{failure.get('message')}")

    verdict = "fail" if failures else "pass"
    outputs = {"verdict": verdict, "job": job["id"], "size-ratio": job["summary"]["size_ratio"]}
    with open(os.environ["GITHUB_OUTPUT"], "a") as file:
        file.writelines(f"{name}={value}\n" for name, value in outputs.items())
    with open(os.environ["GITHUB_STEP_SUMMARY"], "a") as file:
        file.write((folder / "report.md").read_text())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
