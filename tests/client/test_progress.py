"""Progress where the output is not a terminal."""

import io

from rich.console import Console

from client.progress import UploadProgress, show_progress


def test_a_job_prints_one_line_for_each_stage_and_its_log():
    console = Console(file=io.StringIO(), width=160)
    progress = {"event": "progress", "stage": "loading", "done": 0, "total": 1, "message": ""}
    log = {"event": "log", "level": "warning", "message": "[bold] is not markup"}
    show_progress(console, [progress, progress, log, {**progress, "stage": "storing"}, {"event": "state"}])
    assert console.file.getvalue().splitlines() == ["loading ...", "warning: [bold] is not markup", "storing ..."]


def test_an_upload_prints_one_line_unless_it_is_quiet():
    for quiet, expected in ((False, "uploading m.onnx ...\n"), (True, "")):
        console = Console(file=io.StringIO(), width=160)
        with UploadProgress(console, quiet) as progress:
            show = progress.of("m.onnx")
            show(1, 10)
            show(10, 10)
        assert console.file.getvalue() == expected
