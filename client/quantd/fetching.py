"""The files of a job that has ended: its artifacts, and the files that are written from them."""

import tempfile
from pathlib import Path

from quantd import artifacts
from quantd.job import Job
from quantd.outputs import Outputs


def fetch_artifacts(job: Job, outputs: Outputs, folder: Path) -> None:
    """Download the artifacts that the files are written from into a folder."""
    available = {artifact.name for artifact in job.artifacts()}
    for name in sorted(outputs.needed(available)):
        if name == artifacts.REPORT_PAGE:  # with the latency of this job, which the stored page leaves out
            (folder / name).write_bytes(job.read(name))
        else:
            job.download(folder / name, name)


def fetch_outputs(job: Job, outputs: Outputs) -> None:
    """Write the files of a job that has succeeded."""
    with tempfile.TemporaryDirectory(prefix="quantd-") as name:
        fetch_artifacts(job, outputs, Path(name))
        outputs.write(Path(name), job.document)
