"""The metrics that outputs get where the spec names none."""

import numpy as np
import pytest

from quant.evaluation.task_choice import Batch, choose_metrics

RNG = np.random.default_rng(0)
IDS = {"ids": RNG.integers(2, 50, (4, 9))}


def softmax(values, axis=-1):
    return np.exp(values) / np.exp(values).sum(axis=axis, keepdims=True)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def characters():
    logits = normal(4, 20, 30)
    logits[..., -1] += 9
    return softmax(logits)


def unit(values):
    return values / np.linalg.norm(values, axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("outputs", "feeds", "expected"),
    [
        ({"actions": normal(4, 12)}, {}, ["regression"]),
        ({"value": normal(4, 1)}, {}, ["regression"]),
        ({"embedding": normal(4, 128)}, {}, ["retrieval"]),
        ({"small": unit(normal(4, 8))}, {}, ["retrieval"]),
        ({"logits": normal(4, 9, 60)}, IDS, ["next_token"]),
        ({"hidden": normal(4, 9, 20)}, IDS, []),
        ({"hidden": normal(4, 9, 20)}, {"mask": np.ones((4, 9), np.int64)}, []),
        ({"text": characters()}, {}, ["ctc_text"]),
        ({"tags": softmax(normal(4, 9, 5))}, {}, []),
        ({"map": softmax(normal(4, 3, 6, 6), 1)}, {}, ["segmentation"]),
        ({"image": normal(4, 3, 6, 6)}, {}, []),
        ({"boxes": normal(4, 7, 4), "scores": normal(4, 7), "extra": normal(4, 3)}, {}, ["detection"]),
        ({"boxes": normal(4, 7, 4), "scores": normal(4, 8)}, {}, ["regression"]),
        ({"numbers": np.ones((4, 3), np.int64), "list": [1, 2]}, {}, []),
        ({"odd": normal(3, 12)}, {}, []),
    ],
)
def test_shapes_and_values_decide(outputs, feeds, expected):
    batch = Batch(tuple(outputs), list(outputs.values()), feeds, 4, False, [False] * len(outputs))
    metrics = choose_metrics(batch)
    assert [metric.name for metric in metrics] == expected
    assert all(metric.output in outputs for metric in metrics)


def test_the_blank_is_the_most_frequent_class():
    (metric,) = choose_metrics(Batch(("text",), [characters()], {}, 4, False, [False]))
    assert metric.blank == -1


def test_classes_and_random_outputs_have_no_metric():
    outputs = [normal(4, 12), normal(4, 12)]
    assert choose_metrics(Batch(("a", "b"), outputs, {}, 4, True, [False, True])) == []


def test_values_along_a_free_axis_are_no_embedding():
    batch = Batch(("pitch",), [normal(4, 93)], {}, 4, False, [False], {"pitch"})
    assert [metric.name for metric in choose_metrics(batch)] == ["regression"]
