"""Comparisons of two jobs for tests."""

from typing import Any

from quant.outcome.better import Better
from quant.outcome.comparison import (
    ComparedJob,
    Comparison,
    GateChange,
    GateSide,
    LayerChange,
    LoneLayer,
    SettingChange,
    SpecDifference,
)
from quant.outcome.metrics import BYTES_AFTER, OUTPUT_SQNR, Metric
from quant.outcome.report.changes import FigureChange, MetricChange
from quant.outcome.report.sections import ModelIdentity, Provenance

JOB = ComparedJob(
    model=ModelIdentity(name="digits.onnx", sha256="ab" * 32, bytes=1000),
    provenance=Provenance(quantd="0.1.0", libraries={}, calibration_sha256=None, evaluation_sha256=None),
    verdict=None,
    diagnosis="Little was lost.",
)
SETTINGS = (
    SettingChange(key="bits", a=4, b=8),
    SettingChange(key="block_size", a=32, b=None),
    SettingChange(key="weight_shape", a=(8, 4), b=(8, 5)),
)


def layer(name: str, a_sqnr_db: float, b_sqnr_db: float, *settings: SettingChange) -> LayerChange:
    """Return a layer of 100 bytes with its SQNR in both jobs."""
    return LayerChange(
        name=name,
        op="Conv",
        output_sqnr_db=FigureChange.of(a_sqnr_db, b_sqnr_db, Better.HIGHER),
        weight_sqnr_db=FigureChange.of(a_sqnr_db, b_sqnr_db, Better.HIGHER),
        error_share=FigureChange.of(0.2, 0.3),
        bytes_after=FigureChange.of(100, 100, Better.LOWER),
        settings=settings,
    )


def metric(described: Metric, a: float, b: float) -> MetricChange:
    """Return a metric of both jobs."""
    return MetricChange(
        name=described.name,
        unit=described.unit,
        difference_unit=described.unit_of_difference,
        better=described.better,
        **FigureChange.of(a, b, described.better).model_dump(),
    )


def comparison(**parts: Any) -> Comparison:
    """Return a comparison with an entry in every table; `parts` replaces others."""
    lone = LoneLayer(name="fc", op="Gemm", bits=4, output_sqnr_db=12.0, weight_sqnr_db=20.0, reason="the spec says so")
    sqnr_gate = GateChange(
        name="min_output_sqnr_db", unit="dB", better="higher", change="better",
        a=GateSide(limit=30, value=26.5, passed=False), b=GateSide(limit=30, value=41, passed=True),
    )  # fmt: skip
    size_gate = GateChange(
        name="max_size_ratio", unit="", better="lower", change=None,
        a=None, b=GateSide(limit=0.3, value=None, passed=False),
    )  # fmt: skip
    tables = {
        "a": JOB,
        "b": JOB,
        "same_model": True,
        "same_calibration": True,
        "same_evaluation": True,
        "notes": (),
        "metrics": (metric(BYTES_AFTER, 46023, 76138), metric(OUTPUT_SQNR, 26.5, 41.0)),
        "gates": (sqnr_gate, size_gate),
        "layers": (layer("conv1", 20.0, 30.0, *SETTINGS),),
        "only_in_a": (lone,),
        "only_in_b": (),
        "spec": (
            SpecDifference(pointer="/weights/bits", a=4, b=8, only_in=None),
            SpecDifference(pointer="/layers/0", a=None, b={"match": "ü"}, only_in="b"),
        ),
    }
    return Comparison(**{**tables, **parts})
