"""Task figures: what the metrics of tasks measure, such as the mean average precision of a detector.

A new figure is one `TaskFigure` in `TASK_FIGURES`. Its gates, its place in comparisons and regressions, and the
entries of the report follow from that line. The plug-ins that compute the figures are in `quant/methods/metrics/`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Reference = Literal["either", "labels", "float"]
"""The values that a figure compares outputs with: the labels where there are some and the float model's outputs
elsewhere, the labels only, or the float model's outputs only."""


@dataclass(frozen=True)
class TaskFigure:
    """One figure of a task.

    Attributes:
        name: its name in the report and in comparisons, and in the names of its gates.
        title: its name for people.
        unit: its unit, as it is written after a number; empty for a plain number.
        description: one line for documentation, without a point at its end.
        higher_is_better: the direction in which the figure improves.
        reference: the values that the outputs are compared with.
        bounds: the constraints on the limit of its gate, as keyword arguments of `pydantic.Field`.
        best: the value of a model without errors; None if there is none.
        is_share: True for a share of samples, whose interval follows from the binomial distribution.
    """

    name: str
    title: str
    unit: str
    description: str
    higher_is_better: bool
    reference: Reference = "either"
    bounds: Mapping[str, Any] = field(default_factory=dict)
    best: float | None = None
    is_share: bool = False

    @property
    def gate_name(self) -> str:
        """The name of the gate on the figure of the quantized model."""
        return f"{'min' if self.higher_is_better else 'max'}_{self.name}"

    @property
    def loss_gate_name(self) -> str:
        """The name of the gate on what quantization costs."""
        return f"max_{self.name}_{'drop' if self.higher_is_better else 'rise'}"


SHARE: Mapping[str, Any] = {"ge": 0, "le": 1}
POSITIVE: Mapping[str, Any] = {"ge": 0}

MAP = TaskFigure(
    "map",
    "mAP@.5:.95",
    "",
    "Mean average precision of the boxes, averaged over the IoU thresholds .5, .55 .. .95",
    higher_is_better=True,
    bounds=SHARE,
    best=1,
)
MAP50 = TaskFigure(
    "map50",
    "mAP@.5",
    "",
    "Mean average precision of the boxes at an IoU of .5",
    higher_is_better=True,
    bounds=SHARE,
    best=1,
)
MEAN_IOU = TaskFigure(
    "mean_iou",
    "Mean IoU",
    "",
    "Intersection over union of the regions of each class, averaged over the classes",
    higher_is_better=True,
    bounds=SHARE,
    best=1,
)
NEIGHBOUR_AGREEMENT = TaskFigure(
    "neighbour_agreement",
    "Neighbour agreement",
    "",
    "Share of samples whose nearest neighbour by cosine is the float model's, or has the same label",
    higher_is_better=True,
    bounds=SHARE,
    best=1,
    is_share=True,
)
EMBEDDING_COSINE = TaskFigure(
    "embedding_cosine",
    "Embedding cosine",
    "",
    "Cosine of a sample's embedding with the float model's, averaged over the samples",
    higher_is_better=True,
    reference="float",
    bounds={"ge": -1, "le": 1},
    best=1,
)
TEXT_EXACT = TaskFigure(
    "text_exact",
    "Equal texts",
    "",
    "Share of samples whose decoded text is right as a whole",
    higher_is_better=True,
    bounds=SHARE,
    best=1,
    is_share=True,
)
CHAR_ERROR_RATE = TaskFigure(
    "char_error_rate",
    "Character errors",
    "",
    "Insertions, deletions and substitutions in the decoded texts, per character of the right texts",
    higher_is_better=False,
    bounds=POSITIVE,
    best=0,
)
NEXT_TOKEN_AGREEMENT = TaskFigure(
    "next_token_agreement",
    "Next token agreement",
    "",
    "Share of positions at which both models give the most probability to the same token",
    higher_is_better=True,
    reference="float",
    bounds=SHARE,
    best=1,
)
TOKEN_KL = TaskFigure(
    "token_kl",
    "KL divergence",
    "nats",
    "Kullback-Leibler divergence of the float model's next token from the quantized model's, averaged over positions",
    higher_is_better=False,
    reference="float",
    bounds=POSITIVE,
    best=0,
)
PERPLEXITY = TaskFigure(
    "perplexity",
    "Perplexity",
    "",
    "Exponential of the mean negative log-likelihood of the right next token",
    higher_is_better=False,
    reference="labels",
    bounds=POSITIVE,
)
SI_SNR = TaskFigure(
    "si_snr_db",
    "SI-SNR",
    "dB",
    "Scale-invariant signal-to-noise ratio of a waveform, averaged over the samples",
    higher_is_better=True,
)
LOG_SPECTRAL_DISTANCE = TaskFigure(
    "log_spectral_distance_db",
    "Log-spectral distance",
    "dB",
    "Root mean square difference of the log power spectra, averaged over frames and samples",
    higher_is_better=False,
    bounds=POSITIVE,
    best=0,
)
MEAN_ABSOLUTE_ERROR = TaskFigure(
    "mean_absolute_error",
    "MAE",
    "",
    "Mean absolute error of the values, in the output's own unit",
    higher_is_better=False,
    bounds=POSITIVE,
    best=0,
)
ROOT_MEAN_SQUARE_ERROR = TaskFigure(
    "root_mean_square_error",
    "RMSE",
    "",
    "Root of the mean squared error of the values, in the output's own unit",
    higher_is_better=False,
    bounds=POSITIVE,
    best=0,
)
R_SQUARED = TaskFigure(
    "r_squared",
    "R²",
    "",
    "Coefficient of determination: 1 less the squared error divided by the variance about the mean of each column",
    higher_is_better=True,
    bounds={"le": 1},
    best=1,
)

TASK_FIGURES = (
    MAP,
    MAP50,
    MEAN_IOU,
    NEIGHBOUR_AGREEMENT,
    EMBEDDING_COSINE,
    TEXT_EXACT,
    CHAR_ERROR_RATE,
    NEXT_TOKEN_AGREEMENT,
    TOKEN_KL,
    PERPLEXITY,
    SI_SNR,
    LOG_SPECTRAL_DISTANCE,
    MEAN_ABSOLUTE_ERROR,
    ROOT_MEAN_SQUARE_ERROR,
    R_SQUARED,
)
"""Every figure of a task, in the order in which reports list them."""


def task_figure(name: str) -> TaskFigure:
    """Return the figure with this name."""
    return next(figure for figure in TASK_FIGURES if figure.name == name)
