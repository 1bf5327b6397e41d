"""The layouts of detectors describe the same boxes."""

import numpy as np
import pytest

from quant.errors import InputMismatch
from quant.methods.metrics.detection import Detection

CORNERS = np.array([[10.0, 10, 30, 50], [60, 20, 80, 40]])
CENTRES = np.array([[20.0, 30, 20, 40], [70, 30, 20, 20]])
SCORES = np.array([[0.1, 0.9], [0.8, 0.05]])

LAYOUTS = {
    "decoded": [CORNERS, SCORES],
    "ssd": [CORNERS, np.concatenate([[[0.05], [0.1]], SCORES], axis=1)],
    "yolov5": [np.concatenate([CENTRES, [[0.5], [0.5]], 2 * SCORES], axis=1)],
    "yolov8": [np.concatenate([CENTRES, SCORES], axis=1).T],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_gives_boxes_by_falling_score(layout):
    boxes = Detection(layout=layout).decode(LAYOUTS[layout])
    np.testing.assert_allclose(boxes.corners, CORNERS)
    np.testing.assert_allclose(boxes.scores, [0.9, 0.8])
    np.testing.assert_array_equal(boxes.classes, [1, 0])


def test_classes_may_be_an_output():
    outputs = [CORNERS, np.array([0.2, 0.9]), np.array([3, 7], np.int64)]
    boxes = Detection().decode(outputs)
    np.testing.assert_array_equal(boxes.classes, [7, 3])
    assert len(Detection(min_score=0.25).reference(boxes).scores) == 1


def test_outputs_are_known_by_their_names():
    names = ("num", "detection_boxes", "detection_scores", "detection_classes")
    assert Detection().read_outputs(names) == names[1:]
    assert Detection(layout="yolov8").read_outputs(("output0",)) == ("output0",)
    assert Detection(output="num", scores="detection_boxes", layout="ssd").read_outputs(names) == names[:2]
    with pytest.raises(InputMismatch, match="no output is named as scores; accepted: scores with one of"):
        Detection().read_outputs(("boxes", "other"))
    with pytest.raises(InputMismatch, match="the model has no output 'head'"):
        Detection(output="head", layout="yolov5").read_outputs(names)


def test_targets_are_padded_with_a_negative_class():
    target = Detection().target(np.array([[0, 0, 1, 1, 2], [0, 0, 0, 0, -1]], np.float32))
    np.testing.assert_array_equal(target.classes, [2])


@pytest.mark.parametrize(
    ("metric", "outputs"),
    [
        (Detection(), [CORNERS[:, :3], SCORES]),
        (Detection(), [CORNERS, SCORES[:1]]),
        (Detection(layout="yolov5"), [np.zeros((2, 5))]),
        (Detection(layout="yolov8"), [np.zeros((4, 2))]),
    ],
)
def test_another_layout_is_refused(metric, outputs):
    with pytest.raises(InputMismatch, match="accepted by layout"):
        metric.decode(outputs)
    with pytest.raises(InputMismatch, match=r"accepted: \[boxes, 5\]"):
        metric.target(np.zeros((3, 4)))
