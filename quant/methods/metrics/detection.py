"""Detection: mean average precision of boxes that the model decodes, or that a named layout describes."""

import re
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from quant.errors import InputMismatch
from quant.methods.metrics.average_precision import AveragePrecision
from quant.methods.metrics.base import MetricBase, require_output
from quant.methods.metrics.boxes import Boxes, BoxFormat, suppress, to_corners
from quant.outcome.task_figures import MAP, MAP50, TaskFigure

MIN_SCORE = 0.001
"""The least score of a box of a raw head that is sought a place among the others."""
MAX_CANDIDATES = 1000
"""The most boxes of a raw head, the best ones, among which overlapping ones are suppressed."""
MAX_BOXES = 100
"""The most boxes of an image that count, as COCO has it."""
BOXES = re.compile("box|bbox|loc", re.IGNORECASE)
SCORES = re.compile("score|conf|prob", re.IGNORECASE)
CLASSES = re.compile("class|label", re.IGNORECASE)


class Detection(MetricBase):
    """Mean average precision of boxes; targets are rows x1, y1, x2, y2, class, padded with class -1."""

    figures: ClassVar[tuple[TaskFigure, ...]] = (MAP, MAP50)
    name: Literal["detection"] = "detection"
    output: str | None = None
    """The output with the boxes, or with the raw head; null for the first one whose name says box, or the first one."""
    layout: Literal["decoded", "ssd", "yolov5", "yolov8"] = "decoded"
    """`decoded`: boxes (boxes, 4), scores (boxes) or (boxes, classes), and classes (boxes) if there are any. `ssd`: the
    same before suppression, where the first class is the background. `yolov5`: one output (boxes, 5 + classes) of
    centre, size, objectness and classes. `yolov8`: one output (4 + classes, boxes) of centre, size and classes."""
    scores: str | None = None
    """The output with the scores; null for the first one whose name says score, conf or prob."""
    classes: str | None = None
    """The output with the classes; null for the first one whose name says class or label, if there is one."""
    box_format: BoxFormat = "xyxy"
    """The format of decoded boxes: corners, corners with y first, centre and size, or least corner and size."""
    min_score: float = Field(default=0.25, ge=0, le=1)
    """The least score of the float model's boxes that are references where there are no targets."""
    nms_iou: float = Field(default=0.45, gt=0, le=1)
    """The overlap beyond which the lesser of two boxes of a raw head is suppressed."""

    def read_outputs(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the names of the outputs with boxes, with scores, and with classes if there are any.

        Raises:
            InputMismatch: the model has no such outputs.
        """
        if self.layout.startswith("yolo"):
            return super().read_outputs(names)
        boxes = require_output(self.output or _named(BOXES, names) or names[0], names, self.name)
        others = [name for name in names if name != boxes]
        scores = self.scores or _named(SCORES, others)
        if scores is None:
            raise InputMismatch(
                f"metric detection: no output is named as scores; accepted: scores with one of "
                f"{', '.join(others) or 'none'}, or a layout of one output, yolov5 or yolov8"
            )
        classes = self.classes or _named(CLASSES, [name for name in others if name != scores])
        chosen = (boxes, scores) if classes is None or self.layout == "ssd" else (boxes, scores, classes)
        return tuple(require_output(name, names, self.name) for name in chosen)

    def decode(self, outputs: Sequence[NDArray[Any]]) -> Boxes:
        """Return the boxes of one image.

        Raises:
            InputMismatch: the outputs do not have the layout.
        """
        return _LAYOUTS[self.layout](self, outputs).first(MAX_BOXES)

    def target(self, values: NDArray[Any]) -> Boxes:
        """Return the boxes of the target."""
        if values.ndim != 2 or values.shape[1] != 5:
            raise InputMismatch(
                f"metric {self.name}: a target has shape {list(values.shape)}; accepted: [boxes, 5] with x1, y1, x2, "
                "y2, class"
            )
        rows = values[values[:, 4] >= 0].astype(np.float64)
        return Boxes(rows[:, :4], np.ones(len(rows)), rows[:, 4].astype(np.int64))

    def reference(self, prediction: Boxes) -> Boxes:
        """Return the boxes with the least score of a reference."""
        return prediction.above(self.min_score)

    def scorer(self) -> AveragePrecision:
        """Return a scorer without images."""
        return AveragePrecision()

    def decoded(self, outputs: Sequence[NDArray[Any]]) -> Boxes:
        """Return boxes that the model decoded and suppressed."""
        corners, scores, *classes = self._checked(outputs)
        if scores.ndim == 2 and scores.shape[1] > 1:
            return Boxes.of(corners, scores.max(axis=1), scores.argmax(axis=1))
        numbers = classes[0].reshape(-1).astype(np.int64) if classes else np.zeros(len(corners), np.int64)
        return Boxes.of(corners, scores.reshape(-1), numbers)

    def ssd(self, outputs: Sequence[NDArray[Any]]) -> Boxes:
        """Return the boxes of a head with a background class, suppressed."""
        corners, scores = self._checked(outputs)[:2]
        return self._suppressed(corners, scores.reshape(len(corners), -1)[:, 1:])

    def yolov5(self, outputs: Sequence[NDArray[Any]]) -> Boxes:
        """Return the boxes of a head (boxes, 5 + classes), suppressed."""
        head = self._head(outputs[0], 6)
        return self._suppressed(to_corners(head[:, :4], "cxcywh"), head[:, 4:5] * head[:, 5:])

    def yolov8(self, outputs: Sequence[NDArray[Any]]) -> Boxes:
        """Return the boxes of a head (4 + classes, boxes), suppressed."""
        head = self._head(outputs[0].T, 5)
        return self._suppressed(to_corners(head[:, :4], "cxcywh"), head[:, 4:])

    def _head(self, head: NDArray[Any], least: int) -> NDArray[np.float64]:
        if head.ndim != 2 or head.shape[1] < least:
            raise InputMismatch(
                f"metric detection: a sample of the head has shape {list(head.shape)}, boxes first; accepted by layout "
                f"{self.layout}: at least {least} values for each box"
            )
        return head.astype(np.float64)

    def _checked(self, outputs: Sequence[NDArray[Any]]) -> list[NDArray[np.float64]]:
        boxes, *others = outputs
        if boxes.ndim != 2 or boxes.shape[1] != 4 or any(other.shape[:1] != boxes.shape[:1] for other in others):
            shapes = ", ".join(str(list(values.shape)) for values in outputs)
            raise InputMismatch(
                f"metric detection: a sample of the outputs has the shapes {shapes}; accepted by layout {self.layout}: "
                "boxes [boxes, 4] and scores for each of them"
            )
        return [to_corners(boxes, self.box_format), *(values.astype(np.float64) for values in others)]

    def _suppressed(self, corners: NDArray[np.float64], scores: NDArray[np.float64]) -> Boxes:
        best = scores.max(axis=1)
        boxes = Boxes.of(corners, best, scores.argmax(axis=1)).above(MIN_SCORE).first(MAX_CANDIDATES)
        return suppress(boxes, self.nms_iou)


_LAYOUTS: dict[str, Callable[[Detection, Sequence[NDArray[Any]]], Boxes]] = {
    "decoded": Detection.decoded,
    "ssd": Detection.ssd,
    "yolov5": Detection.yolov5,
    "yolov8": Detection.yolov8,
}


def _named(pattern: re.Pattern[str], names: Sequence[str]) -> str | None:
    return next((name for name in names if pattern.search(name)), None)
