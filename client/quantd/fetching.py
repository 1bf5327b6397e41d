"""The files of a job that has ended: its artifacts, and the files that are written from them."""

import tempfile
from pathlib import Path

from quantd import artifacts
from quantd.api import Client
from quantd.connection import Document
from quantd.outputs import Outputs


def fetch_artifacts(client: Client, job_id: str, outputs: Outputs, folder: Path) -> None:
    """Download the artifacts that the files are written from into a folder."""
    available = {item["name"] for item in client.artifacts(job_id)}
    for name in sorted(outputs.needed(available)):
        if name == artifacts.REPORT_PAGE:  # with the latency of this job, which the stored page leaves out
            (folder / name).write_bytes(client.report_page(job_id))
        else:
            client.download(job_id, name, folder / name)


def fetch_outputs(client: Client, job: Document, outputs: Outputs) -> None:
    """Write the files of a job that has succeeded."""
    with tempfile.TemporaryDirectory(prefix="quantd-") as name:
        fetch_artifacts(client, job["id"], outputs, Path(name))
        outputs.write(Path(name), job)
