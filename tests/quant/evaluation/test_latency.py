"""Latency: settings, limits and warnings. No test asserts a duration, since other processes share the machine."""

import time
from weakref import WeakSet

import numpy as np
import pytest

from quant.evaluation import latency as module
from quant.evaluation.latency import TimedModels, is_slower, latency_ratio, measure_latency
from quant.evaluation.timed_inputs import TimedInputs
from quant.outcome.latency import LayerTime
from quant.runtime import Session, processors
from tests.quant.onnx_text import proto_of

RNG = np.random.default_rng(0)


def network(depth):
    """A chain of MatMul of this depth."""
    weights = {f"w{number}": RNG.normal(size=(256, 256)) / 16 for number in range(depth)}
    steps = [f"h{number + 1} = MatMul(h{number}, w{number})" for number in range(depth)]
    text = f"net (float[n, 256] h0) => (float[n, 256] h{depth}) {{{' '.join(steps)}}}"
    return proto_of(text, **weights)


@pytest.fixture
def timed(tmp_path):
    """Return both models with two layers as the float model, and `depth` as the quantized one."""

    def models(depth):
        reference = network(2)
        (tmp_path / "model.onnx").write_bytes(reference)
        layers = {"matmul0": ("matmul0", "MatMul"), "matmul1": ("matmul1", "MatMul")}
        return TimedModels(
            tmp_path / "model.onnx",
            lambda profile: Session(reference, threads=1, profile=profile),
            network(depth),
            layers,
        )

    return models


def inputs(samples=8):
    batch = {"h0": RNG.normal(size=(samples, 256)).astype(np.float32)}
    return TimedInputs(batch, samples, {name: array[:1] for name, array in batch.items()} if samples > 1 else None)


def test_every_setting_is_measured_for_both_models(timed):
    latency = measure_latency(timed(2), inputs(), always=True)
    threads = list(dict.fromkeys((1, processors())))
    settings = [(count, batch) for count in threads for batch in (8, 1)]
    for timings in (latency.float, latency.quantized):
        assert [(timing.threads, timing.batch) for timing in timings] == settings
        assert all(timing.quartiles_ms[0] <= timing.median_ms <= timing.quartiles_ms[1] for timing in timings)
        assert all(module.MIN_RUNS <= timing.runs <= module.MAX_RUNS for timing in timings)
    assert latency.ratio == latency.quantized[0].median_ms / latency.float[0].median_ms
    assert [layer.name for layer in latency.layers] == ["matmul0", "matmul1"]


def test_one_pair_of_sessions_is_in_memory_at_a_time(monkeypatch, timed):
    alive, most = WeakSet(), []
    load = module._sessions

    def sessions(models, threads):
        most.append(len(alive))
        pair = load(models, threads)
        alive.update(pair)
        return pair

    monkeypatch.setattr(module, "_sessions", sessions)
    monkeypatch.setattr(module, "processors", lambda: 2)
    measure_latency(timed(2), inputs(), always=True)
    assert most == [0, 0]


def test_a_batch_of_one_sample_is_one_setting(timed):
    latency = measure_latency(timed(2), inputs(1), always=True)
    assert {timing.batch for timing in latency.float} == {1}
    assert len(latency.float) == len({1, processors()})


def test_equal_models_give_no_warning_and_a_deeper_one_does(timed):
    assert not measure_latency(timed(2), inputs(), always=True).warnings
    slower = measure_latency(timed(20), inputs(), always=True)
    assert slower.ratio > 2
    (warning,) = slower.warnings
    assert "times as long as the float model" in warning


def test_a_slow_model_is_measured_only_if_asked(timed, monkeypatch):
    monkeypatch.setattr(module, "BUDGET_S", 0.0)
    latency = measure_latency(timed(2), inputs(), always=False)
    assert (latency.float, latency.ratio) == ((), None)
    assert "measure: {latency: true}" in latency.reason
    assert measure_latency(timed(2), inputs(), always=True).ratio is not None


def test_no_further_setting_is_measured_after_the_budget(timed, monkeypatch):
    limits = iter([False])
    monkeypatch.setattr(module._Clock, "is_over", property(lambda _: next(limits, True)))
    assert len(measure_latency(timed(2), inputs(), always=False).float) == 2


def test_the_ratio_of_two_quantized_models():
    feeds = inputs().batch
    assert latency_ratio(network(2), network(20), feeds) > 2
    assert latency_ratio(network(20), network(2), feeds) < 0.5


def test_a_coarse_clock_is_recognised():
    assert module._is_fine(time.perf_counter)
    assert not module._is_fine(lambda: 0.0)
    assert not module._is_fine(lambda: float(int(100 * time.perf_counter()) / 100))


@pytest.mark.parametrize(
    ("float_ms", "quantized_ms", "slower"),
    [(1.0, 1.5, True), (1.0, 1.2, False), (1.0, 0.5, False), (0.002, 0.004, False), (0.0, 0.01, True)],
)
def test_a_layer_is_slower_by_a_clear_margin(float_ms, quantized_ms, slower):
    assert is_slower(LayerTime(name="a", op="Conv", float_ms=float_ms, quantized_ms=quantized_ms)) is slower


def test_a_warning_names_the_slowest_layers_first():
    layers = [LayerTime(name=f"l{n}", op="Conv", float_ms=1, quantized_ms=2 + n) for n in range(7)]
    rest = LayerTime(name="", op="", float_ms=1, quantized_ms=9)
    text = module._slow_parts(layers, rest)
    assert text.index("l6") < text.index("l5")
    assert "and 2 more" in text
    assert "l1 " not in text
    assert "nodes that belong to no layer: 9 ms, float 1 ms" in module._slow_parts([], rest)
