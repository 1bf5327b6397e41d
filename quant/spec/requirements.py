"""The data that a spec needs."""

from collections.abc import Iterator

from quant.errors import DataRequired, FieldError
from quant.spec.document import Spec


def require_data(spec: Spec, *, calibration: bool, evaluation: bool) -> None:
    """Raise unless the datasets that the spec needs are given.

    Raises:
        DataRequired: activations, an objective, a bias correction or a rounding needs calibration data, or a gate needs
            evaluation data; `errors` has a JSON pointer for each.
    """
    faults = [*([] if calibration else _needs_calibration(spec)), *([] if evaluation else _needs_evaluation(spec))]
    if faults:
        raise DataRequired("; ".join(f"{fault.pointer} {fault.detail}" for fault in faults), faults)


def adapt_to_data(spec: Spec, *, calibrated: bool) -> Spec:
    """Return the spec that a job follows: with float activations if it may have them and there are no data."""
    optional = spec.activations is not None and spec.activations.without_data == "float"
    return spec.model_copy(update={"activations": None}) if optional and not calibrated else spec


def _needs_calibration(spec: Spec) -> Iterator[FieldError]:
    activations = spec.activations
    if activations is not None and activations.mode != "dynamic" and activations.without_data == "refuse":
        detail = (
            "needs calibration data; give a calibration dataset or choose mode dynamic, or activations: null (or a "
            "*-weights preset)"
        )
        yield FieldError("/activations", detail)
    if spec.objective != "fixed":
        yield FieldError("/objective", f"{spec.objective} is decided on calibration data; without it: fixed")
    if spec.bias_correction == "calibrated":
        yield FieldError("/bias_correction", "calibrated needs calibration data; without it: auto")
    roundings = {"/weights": spec.weights.rounding}
    for i, rule in enumerate(spec.layers):
        if rule.weights.rounding is not None:
            roundings[f"/layers/{i}/weights"] = rule.weights.rounding
    for section, rounding in roundings.items():
        if rounding.needs_data:
            detail = f"{rounding.name} needs calibration data; without it choose nearest"
            yield FieldError(f"{section}/rounding", detail)


def _needs_evaluation(spec: Spec) -> Iterator[FieldError]:
    for gate, _ in spec.gates.requested():
        if gate.needs_evaluation:
            yield FieldError(f"/gates/{gate.name}", "is measured on evaluation data; give an evaluation dataset")
