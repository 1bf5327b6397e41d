"""The files that a command writes: checked before the job starts, written after its end."""

import json
import os
import shutil
import tempfile
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantd import artifacts
from quantd.errors import ClientError
from quantd.junit import junit_document
from quantd.regression import RegressionCheck

REPORT_SUFFIXES = (".html", ".htm", ".json")
REPORT_FIELDS = dict.fromkeys(REPORT_SUFFIXES, "report") | {".md": "markdown", ".csv": "csv", ".xml": "junit"}
"""The field of `Outputs` by the ending of a file name."""
MODEL_FILES = (artifacts.MODEL, artifacts.MODEL_DATA)
"""The model, and the weights of a large model, which the first file refers to by this name."""


@dataclass(frozen=True)
class Outputs:
    """The files that the caller asks for; None where not.

    Attributes:
        model: the quantized model; the weights of a large model are written beside it.
        report: the report, as a page (.html) or as JSON (.json).
        markdown: the summary for a pull request.
        csv: the table of the layers.
        junit: the gates and the regressions as a JUnit document.
        result: the job's document, as `--json` prints it.
    """

    model: Path | None = None
    report: Path | None = None
    markdown: Path | None = None
    csv: Path | None = None
    junit: Path | None = None
    result: Path | None = None

    @classmethod
    def of_report(cls, path: Path) -> "Outputs":
        """Return the output of one report, whose form follows from the ending of the file name.

        Raises:
            ClientError: the ending is unknown.
        """
        field = REPORT_FIELDS.get(path.suffix)
        if field is None:
            raise ClientError(f"-o {path}: accepted: a file that ends in {', '.join(REPORT_FIELDS)}")
        return cls(**{field: path})

    @property
    def paths(self) -> dict[str, Path]:
        """The requested files by the option that names them."""
        named = {
            "-o": self.model, "--report": self.report, "--markdown": self.markdown, "--csv": self.csv,
            "--junit": self.junit, "--result": self.result,
        }  # fmt: skip
        return {option: path for option, path in named.items() if path is not None}

    @property
    def needs_page(self) -> bool:
        """True if the report is written as a page."""
        return self.report is not None and self.report.suffix != ".json"

    def needed(self, available: Container[str]) -> set[str]:
        """Return the names of the artifacts that the files and the result are made of.

        Args:
            available: the names of the artifacts that the job has; only a large model has a file of weights.
        """
        names = {artifacts.REPORT}
        if self.model:
            names |= {name for name in MODEL_FILES if name in available}
        if self.needs_page:
            names.add(artifacts.REPORT_PAGE)
        if self.markdown:
            names.add(artifacts.REPORT_MARKDOWN)
        if self.csv:
            names.add(artifacts.LAYERS_CSV)
        return names

    def check(self, inputs: Iterable[Path] = ()) -> None:
        """Raise unless every file can be written.

        Args:
            inputs: files that must not be overwritten.

        Raises:
            ClientError: a folder is missing or not writable, a file is a folder or one of the inputs, or two options
                name the same file.
        """
        taken = {path.resolve(): f"the input {path}" for path in inputs}
        for option, path in self.paths.items():
            check_writable(option, path)
            if (other := taken.get(path.resolve())) and str(path) != os.devnull:
                raise ClientError(f"{option} {path}: this is also {other}; accepted: a file of its own")
            taken[path.resolve()] = f"the file of {option}"
        if self.report and self.report.suffix not in REPORT_SUFFIXES:
            raise ClientError(f"--report {self.report}: accepted: a file that ends in {', '.join(REPORT_SUFFIXES)}")

    def write(
        self, folder: Path, job: Mapping[str, Any], regressions: Iterable[RegressionCheck] = (), comparison: str = ""
    ) -> None:
        """Write the requested files.

        Args:
            folder: the artifacts of the job, where the page is that of the job.
            job: the job's document.
            regressions: the metrics that have a limit on their change.
            comparison: the comparison with a baseline in Markdown; empty for none.

        Raises:
            ClientError: a file cannot be written.
        """
        try:
            if self.model:
                _write_model(folder, self.model)
            if self.report:
                self.report.write_bytes(_report(folder, self.report.suffix, job))
            if self.markdown:
                self.markdown.write_bytes((folder / artifacts.REPORT_MARKDOWN).read_bytes() + comparison.encode())
            if self.csv:
                shutil.copyfile(folder / artifacts.LAYERS_CSV, self.csv)
            if self.junit:
                self.junit.write_bytes(junit_document(job["gates"], regressions))
            if self.result:
                self.result.write_text(json.dumps(job))
        except OSError as error:
            raise ClientError(f"{error.filename or folder}: {error.strerror}") from None


def check_readable(option: str, path: Path | None) -> None:
    """Raise unless the path is None or a file that can be read.

    Raises:
        ClientError: there is no such file, or it cannot be read.
    """
    if path is None:
        return
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise ClientError(f"{option} {path}: {error.strerror}") from None


def check_writable(option: str, path: Path) -> None:
    """Raise unless the file can be written.

    Raises:
        ClientError: its folder is missing or not writable, or it is a folder.
    """
    folder = path.parent
    if not folder.is_dir():
        raise ClientError(f"{option} {path}: there is no folder {folder}; create it first")
    if path.is_dir():
        raise ClientError(f"{option} {path}: this is a folder; accepted: a file")
    try:
        if path.exists():
            with path.open("r+b"):
                return
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ClientError(f"{option} {path} cannot be written: {error.strerror}") from None


def _report(folder: Path, suffix: str, job: Mapping[str, Any]) -> bytes:
    """Return the report with the latency that the job measured, which the stored JSON leaves out."""
    if suffix == ".json":
        report = json.loads((folder / artifacts.REPORT).read_bytes())
        return json.dumps(report | {"latency": job["latency"]}).encode() + b"\n"
    return (folder / artifacts.REPORT_PAGE).read_bytes()


def _write_model(folder: Path, output: Path) -> None:
    """Move the model to its destination, and the file of its weights, if there is one, beside it.

    Raises:
        ClientError: the file beside it holds another model's weights.
    """
    model, weights = (folder / name for name in MODEL_FILES)
    destination = output.with_name(weights.name)
    if weights.exists():
        if destination.exists() and not output.exists():
            raise ClientError(f"{destination} holds another model's weights; write this model to another folder")
        shutil.move(weights, destination)
    shutil.copyfile(model, output)
