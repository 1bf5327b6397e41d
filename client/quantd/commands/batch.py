"""`quantd batch`: many jobs in one request."""

import json
from pathlib import Path
from typing import Annotated

import typer

from quantd.commands.options import AsJson, connect
from quantd.errors import GATE_FAILED, ClientError, Interrupted, JobFailed

BatchFile = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="Batch in YAML: `models` with `specs` and `presets`, or `jobs`; files are paths, locations or ids.",
    ),
]
Output = Annotated[
    Path | None, typer.Option("-o", "--output", help="Folder for the quantized models, one for each job.")
]
Detach = Annotated[bool, typer.Option("--detach", help="Print the id of the batch and do not wait.")]


def batch(file: BatchFile, output: Output = None, detach: Detach = False, as_json: AsJson = False) -> int:
    """Quantize many models, or one in many ways, and compare the results.

    Ctrl-C and SIGTERM cancel the batch. Exit status: 0 success, 1 a job failed, 2 a gate failed, 3 bad usage or spec,
    4 no service.
    """
    if detach and output:
        raise ClientError("-o needs the end of the jobs; accepted: without --detach")
    from quantd.batch_file import read_batch, upload_files
    from quantd.tables import batch_lines

    content = read_batch(file)
    with connect() as client:
        body, names = upload_files(client, content, file.parent)
        submitted = client.batch(body)
        if detach:
            typer.echo(json.dumps(submitted.document) if as_json else submitted.id)
            return 0
        try:
            submitted.wait()
        except Interrupted:
            submitted.cancel()
            raise
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
            for index, row in enumerate(submitted.jobs, 1):
                if row["status"] == "succeeded":
                    stem = Path(names.get(row["model"]) or row["model_name"] or row["model"]).stem
                    client.job(row["id"]).download(output / f"{index:03d}-{stem}.onnx")
    if as_json:
        typer.echo(json.dumps(submitted.document))
    else:
        typer.echo(f"{submitted.id}: {submitted.status}")
        typer.echo("\n".join(batch_lines(submitted.document)))
    if submitted.status != "succeeded":
        return JobFailed.exit_code
    return GATE_FAILED if submitted.verdict == "fail" else 0
