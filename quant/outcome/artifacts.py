"""The artifacts of a job: the files that it may produce, with their media types.

A new artifact is one `ArtifactKind` in `ARTIFACTS` and the code that writes the file.
"""

from dataclasses import dataclass

OCTETS = "application/octet-stream"


@dataclass(frozen=True)
class ArtifactKind:
    """One file that a job writes.

    Attributes:
        name: the file's name, which is also its name in the API.
        media_type: the Content-Type of a download.
        description: one line for documentation.
        always: True if every successful job has the artifact; False if only some jobs have it.
    """

    name: str
    media_type: str
    description: str
    always: bool = True


MODEL = ArtifactKind("model.onnx", OCTETS, "The quantized model as ONNX.")
REPORT = ArtifactKind("report.json", "application/json", "The report: figures of every layer and of the whole model.")
REPORT_PAGE = ArtifactKind("report.html", "text/html; charset=utf-8", "The report as one self-contained page.")
GATES_JUNIT = ArtifactKind("gates.junit.xml", "application/xml", "The gates as a JUnit test suite for CI systems.")
LAYERS_CSV = ArtifactKind(
    "layers.csv",
    "text/csv; charset=utf-8; header=present",
    "The figures of the quantized layers, one line each (RFC 4180); an apostrophe precedes a name that a spreadsheet "
    "would take for a formula.",
)
REPORT_MARKDOWN = ArtifactKind(
    "report.md",
    "text/markdown; charset=utf-8",
    "The report in at most 60 lines of Markdown, for the comment of a pull request.",
)
REPORT_SARIF = ArtifactKind(
    "report.sarif",
    "application/sarif+json",
    "Failed gates and the worst layers as SARIF 2.1.0, for tools for code review.",
)
MODEL_EXPLORER = ArtifactKind(
    "model_explorer.json",
    "application/json",
    "The figures of each layer as node data for Model Explorer, which shows them on the graph of model.onnx.",
)
MANIFEST = ArtifactKind(
    "manifest.json",
    "application/json",
    "Digests of all inputs and artifacts, the resolved spec and the versions of the libraries.",
)
MODEL_DATA = ArtifactKind(
    "model.onnx.data",
    OCTETS,
    "The weights of a model that was quantized layer by layer; model.onnx refers to this file by its name.",
    always=False,
)

ARTIFACTS = (
    MODEL,
    REPORT,
    REPORT_PAGE,
    REPORT_MARKDOWN,
    LAYERS_CSV,
    REPORT_SARIF,
    MODEL_EXPLORER,
    GATES_JUNIT,
    MANIFEST,
    MODEL_DATA,
)
"""Every file that a job may publish, in the order in which the API lists them."""


def artifact_named(name: str) -> ArtifactKind:
    """Return the artifact kind of a file name.

    Raises:
        KeyError: no artifact has this name.
    """
    return {kind.name: kind for kind in ARTIFACTS}[name]
