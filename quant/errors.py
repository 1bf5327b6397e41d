"""The failures of quantd, as one tree with stable codes.

QuantdError
├── ModelError            model.invalid
│   ├── UnreadableModel       model.unreadable
│   ├── UnsupportedFormat     model.unsupported_format
│   ├── MissingExternalData   model.missing_external_data
│   ├── UnsafeModel           model.unsafe
│   ├── UnsupportedOpset      model.unsupported_opset
│   ├── UnsupportedOperator   model.unsupported_operator
│   ├── UnsupportedTorchScript model.unsupported_torchscript
│   ├── StatefulModule        model.stateful
│   ├── NothingToQuantize     model.nothing_to_quantize
│   ├── AlreadyQuantized      model.already_quantized
│   ├── NonFiniteWeight       model.non_finite_weight
│   └── LargeModel            model.too_large
├── DatasetError          dataset.invalid
│   ├── UnreadableDataset     dataset.unreadable
│   ├── InputMismatch         dataset.input_mismatch
│   └── NonFiniteData         dataset.non_finite
├── SpecError             spec.invalid
│   ├── DataRequired          spec.data_required
│   ├── InputShapesRequired   spec.input_shapes_required
│   └── BudgetTooSmall        spec.budget_too_small
└── ExportError           export.invalid
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class FieldError:
    """One fault at one place of a document: an RFC 6901 JSON pointer and what is wrong there."""

    pointer: str
    detail: str


class QuantdError(Exception):
    """A failure that a caller can act on.

    `detail` says what was wrong, where, and what would be accepted; `errors` points into the caller's document.
    """

    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "The job could not be done"

    def __init__(self, detail: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)


class ModelError(QuantdError):
    code = "model.invalid"
    title = "The model cannot be quantized"


class UnreadableModel(ModelError):
    code = "model.unreadable"
    title = "The file is not a readable model"


class UnsupportedFormat(ModelError):
    code = "model.unsupported_format"
    title = "The file is of a kind that is not accepted"


class MissingExternalData(ModelError):
    code = "model.missing_external_data"
    title = "The model's external data is missing"


class UnsafeModel(ModelError):
    code = "model.unsafe"
    title = "The file reaches for more than a model needs"


class UnsupportedOpset(ModelError):
    code = "model.unsupported_opset"
    title = "The model's opset is not supported"


class UnsupportedOperator(ModelError):
    code = "model.unsupported_operator"
    title = "The model uses an operator that is not supported"


class UnsupportedTorchScript(ModelError):
    code = "model.unsupported_torchscript"
    title = "The TorchScript module cannot become an ONNX model"


class StatefulModule(ModelError):
    code = "model.stateful"
    title = "The module keeps state between calls"


class NothingToQuantize(ModelError):
    code = "model.nothing_to_quantize"
    title = "The model has no layer to quantize"


class AlreadyQuantized(ModelError):
    code = "model.already_quantized"
    title = "The model has layers that are quantized already"


class NonFiniteWeight(ModelError):
    code = "model.non_finite_weight"
    title = "A weight is NaN or infinite"


class LargeModel(ModelError):
    code = "model.too_large"
    title = "The model is too large for what was asked"


class DatasetError(QuantdError):
    code = "dataset.invalid"
    title = "The dataset cannot be used"


class UnreadableDataset(DatasetError):
    code = "dataset.unreadable"
    title = "The file is not a readable dataset"


class InputMismatch(DatasetError):
    code = "dataset.input_mismatch"
    title = "The dataset does not fit the model's inputs"


class NonFiniteData(DatasetError):
    code = "dataset.non_finite"
    title = "The dataset holds NaN or infinite values"


class SpecError(QuantdError):
    code = "spec.invalid"
    title = "The spec is not valid"


class DataRequired(SpecError):
    code = "spec.data_required"
    title = "The spec asks for data that was not given"


class InputShapesRequired(SpecError):
    code = "spec.input_shapes_required"
    title = "The shapes of the module's inputs are not known"


class BudgetTooSmall(SpecError):
    code = "spec.budget_too_small"
    title = "The model cannot become as small as the budget asks"


class ExportError(QuantdError):
    code = "export.invalid"
    title = "The quantized model does not run"
