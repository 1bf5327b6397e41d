"""`quantd quantize`: the quantization of one model, by the service or on this machine without it."""

from pathlib import Path
from typing import Annotated

import typer

from quantd.commands.options import AsJson, Preset, SpecFile
from quantd.errors import ClientError
from quantd.server import require_server

Output = Annotated[
    Path | None,
    typer.Option(
        "-o", "--output",
        help="The quantized model; a large model has its weights beside it. Required without --detach.",
    ),
]  # fmt: skip
ReportFile = Annotated[Path | None, typer.Option(help="The report, .html or .json.")]
MarkdownFile = Annotated[Path | None, typer.Option(help="A summary for a pull request, in Markdown.")]
CsvFile = Annotated[Path | None, typer.Option(help="The table of the layers.")]
JUnitFile = Annotated[Path | None, typer.Option(help="Gates and regressions as JUnit XML.")]
ResultFile = Annotated[Path | None, typer.Option(help="The job with its gates and figures as JSON.")]
ModelOrSource = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="Model: .onnx, a zip or tar with external data, or TorchScript .pt. The service fetches https://..., "
        "s3://BUCKET/KEY, hf://OWNER/NAME/FILE and mlflow:/NAME/VERSION.",
    ),
]
Calibration = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Calibration data: .npz, .npy, .safetensors, .h5 or a .zip of images."),
]
Evaluation = Annotated[
    str | None, typer.Option(metavar="FILE", help="Evaluation data in such a file; `labels` give top-1 accuracy.")
]
Credentials = Annotated[
    str | None, typer.Option(metavar="NAME", help="Credentials, set up on the service, for the files that it fetches.")
]
DestinationUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Where the service copies the artifacts: s3://..., https://..., mlflow:/runs/ID."),
]
DestinationCredentials = Annotated[
    str | None, typer.Option(metavar="NAME", help="Credentials, set up on the service, for the destination.")
]
GateLimits = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE", help="Limit that fails the command, such as min_output_sqnr_db=20; may be repeated."
    ),
]
BaselineName = Annotated[
    str | None,
    typer.Option(
        metavar="tag:KEY=VALUE|JOB",
        help="Job to compare with: its id, or the newest succeeded job of the same model name with a tag.",
    ),
]
RegressionLimits = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        help="Largest change for the worse from the baseline, such as output_sqnr_db=0.5; may be repeated.",
    ),
]
Tags = Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="Tag of the job; may be repeated.")]
Priority = Annotated[
    int, typer.Option(min=-10, max=10, help="Priority among your own jobs: a step counts as ten minutes of waiting.")
]
Webhook = Annotated[str | None, typer.Option(metavar="URL", help="URL that is notified when the job ends.")]
Timeout = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", min=0.001, help="Time after its submission at which the job is cancelled."),
]
Detach = Annotated[bool, typer.Option("--detach", help="Print the id of the job and do not wait.")]
Local = Annotated[bool, typer.Option("--local", help="Quantize on this machine, without a service.")]


def quantize(
    context: typer.Context,
    model: ModelOrSource,
    output: Output = None,
    report: ReportFile = None,
    markdown: MarkdownFile = None,
    csv: CsvFile = None,
    junit: JUnitFile = None,
    result: ResultFile = None,
    spec: SpecFile = None,
    preset: Preset = None,
    calibration: Calibration = None,
    evaluation: Evaluation = None,
    gate: GateLimits = None,
    baseline: BaselineName = None,
    max_regression: RegressionLimits = None,
    tag: Tags = None,
    priority: Priority = 0,
    webhook: Webhook = None,
    credentials: Credentials = None,
    destination: DestinationUrl = None,
    destination_credentials: DestinationCredentials = None,
    timeout: Timeout = None,
    detach: Detach = False,
    local: Local = False,
    as_json: AsJson = False,
) -> int:
    """Quantize a model and write the quantized model.

    Ctrl-C and SIGTERM cancel the job. Exit status: 0 success, 1 the job failed, 2 a gate failed or a figure regressed,
    3 bad usage or spec, 4 no service.
    """
    _check_combination(context)
    if local:
        require_server("--local", "worker")
    from quantd import quantization
    from quantd.baseline import Baseline
    from quantd.outputs import Outputs
    from quantd.request import Request
    from quantd.sources import file_or_source
    from quantd.spec import read_spec
    from quantd.tags import parse_tag

    request = Request(
        model=file_or_source(model, credentials),
        spec=read_spec(spec, preset, gate or []),
        calibration=None if calibration is None else file_or_source(calibration, credentials),
        evaluation=None if evaluation is None else file_or_source(evaluation, credentials),
        outputs=Outputs(output, report, markdown, csv, junit, result),
        tags=dict(parse_tag("--tag", text) for text in tag or []),
        priority=priority,
        webhook=webhook,
        destination={"url": destination, "credentials": destination_credentials} if destination else None,
        baseline=Baseline.parse(baseline, max_regression or []),
        timeout_s=timeout,
        quiet=as_json,
    )
    return quantization.submit(request) if detach else quantization.quantize(request, local=local)


def _check_combination(context: typer.Context) -> None:
    """Raise for options that contradict each other.

    Raises:
        ClientError: a local job has an option that needs the service, or a detached one an option that needs its end.
    """
    given = {option.opts[0] for option in context.command.params if context.params.get(option.name or "")}
    of_service = {"--baseline", "--tag", "--priority", "--webhook", "--credentials", "--destination"}
    of_end = {"--baseline", "--timeout", "-o", "--local"}
    if "--local" in given and (wrong := given & of_service):
        raise ClientError(f"{', '.join(sorted(wrong))}: needs the service; accepted: without --local")
    if "--detach" in given and (wrong := given & (of_end | {"--report", "--markdown", "--csv", "--junit", "--result"})):
        names = ", ".join(sorted(wrong))
        raise ClientError(f"{names}: needs the end of the job; accepted: without --detach, or `quantd jobs download`")
    if "--destination-credentials" in given and "--destination" not in given:
        raise ClientError("--destination-credentials: there is no destination; accepted: with --destination URL")
    if not given & {"--detach", "-o"}:
        raise ClientError("-o is missing; accepted: -o FILE for the quantized model, or --detach")
