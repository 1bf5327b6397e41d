"""The commands that make the same job again: with `quantd` from files, and with `curl` from the stored files.

Names and values come from callers and may hold anything, so every word is quoted for a POSIX shell. A webhook is left
out: its address may be a secret that not everybody who sees the job may know.
"""

import json
import shlex
from collections.abc import Mapping
from pathlib import PurePosixPath

from jobs.job import Job, Upload
from service.pages.new_job_form import as_yaml


def quantd_command(job: Job, files: Mapping[str, Upload], url: str, needs_key: bool) -> str:
    """Return the shell lines that upload the same files and submit the same job.

    Args:
        job: the job.
        files: its stored files by role: `model`, `calibration`, `evaluation`. A deleted one is missing.
        url: the address of this service.
        needs_key: True if the service needs an API key.
    """
    model = _file(files.get("model"), job.model_name or job.model)
    words = ["quantd", "quantize", model]
    for role in ("calibration", "evaluation"):
        upload_id = getattr(job, role)
        if upload_id is not None:
            words += [f"--{role}", _file(files.get(role), upload_id)]
    for key, value in job.tags.items():
        words += ["--tag", f"{key}={value}"]
    stem = PurePosixPath(model).stem or "model"
    words += ["--spec", "spec.yaml", "-o", _file(None, f"{stem}.quantized.onnx")]
    lines = [f"export QUANTD_URL={shlex.quote(url)}"]
    if needs_key:
        lines.append("export QUANTD_API_KEY=qd_...")
    return "\n".join(
        [*lines, "cat > spec.yaml " + _heredoc(as_yaml(job.spec or {"preset": "int8"})), shlex.join(words)]
    )


def curl_command(job: Job, url: str, needs_key: bool) -> str:
    """Return the shell lines that submit the same job for the stored files.

    Args:
        job: the job.
        url: the address of this service.
        needs_key: True if the service needs an API key.
    """
    body: dict[str, object] = {"model": job.model}
    body |= {role: value for role in ("calibration", "evaluation") if (value := getattr(job, role)) is not None}
    body["spec"] = job.spec
    if job.tags:
        body["tags"] = job.tags
    key = ' -H "Authorization: Bearer $QUANTD_API_KEY"' if needs_key else ""
    document = json.dumps(body, indent=1, ensure_ascii=False) + "\n"
    target = f"curl --silent --show-error --fail-with-body {shlex.quote(url + '/v1/jobs')}{key}"
    return f"{target} -H 'Content-Type: application/json' --data-binary @- {_heredoc(document)}"


def _file(upload: Upload | None, otherwise: str) -> str:
    """Return the name of a file as an argument, which never looks like an option."""
    name = (upload.filename if upload else None) or otherwise
    return f"./{name}" if name.startswith("-") else name


def _heredoc(text: str) -> str:
    """Return a here document whose end is not a line of the text."""
    end = "EOF"
    while end in text.splitlines():
        end += "_"
    return f"<<'{end}'\n{text}{end}"
