"""The errors of quantd: one tree of exceptions, each with a stable code.

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
│   ├── UnsupportedDataset    dataset.unsupported_format
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

from quant.texts import shortened

MOST_FAULTS = 50
"""The most faults of one document that an error lists."""


@dataclass(frozen=True)
class FieldError:
    """A fault in a JSON document: its place, as an RFC 6901 JSON pointer, and a description."""

    pointer: str
    detail: str


class QuantdError(Exception):
    """The base of all errors that a caller can act on.

    `code` and `title` are the same for every error of a class. `detail` says what was wrong, where, and what would be
    accepted. `errors` lists the faults in the caller's document, if there is one: at most `MOST_FAULTS`. Texts are
    shortened, since they may hold names from an uploaded file.
    """

    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "The job failed"

    def __init__(self, detail: str, errors: Sequence[FieldError] = ()) -> None:
        self.detail = shortened(detail)
        super().__init__(self.detail)
        self.errors = tuple(
            FieldError(shortened(fault.pointer), shortened(fault.detail)) for fault in errors[:MOST_FAULTS]
        )
        if len(errors) > MOST_FAULTS:
            self.errors += (FieldError("", f"{len(errors) - MOST_FAULTS} more faults are left out"),)


class ModelError(QuantdError):
    """The model cannot be quantized, for a reason that no narrower class names."""

    code = "model.invalid"
    title = "The model cannot be quantized"


class UnreadableModel(ModelError):
    """The bytes of the file are not a model: damaged, cut short or of another kind."""

    code = "model.unreadable"
    title = "The file is not a readable model"


class UnsupportedFormat(ModelError):
    """The file is recognised, but its kind is not accepted."""

    code = "model.unsupported_format"
    title = "Files of this kind are not accepted"


class MissingExternalData(ModelError):
    """The model refers to a file of external data that was not uploaded."""

    code = "model.missing_external_data"
    title = "The model's external data is missing"


class UnsafeModel(ModelError):
    """The file would run code, read other files or exhaust memory."""

    code = "model.unsafe"
    title = "The file contains code or references that are not allowed"


class UnsupportedOpset(ModelError):
    """The model was written for an opset that cannot be converted to the one that quantd uses."""

    code = "model.unsupported_opset"
    title = "The model's opset is not supported"


class UnsupportedOperator(ModelError):
    """The model uses an operator, or a form of it, that quantd cannot process."""

    code = "model.unsupported_operator"
    title = "The model uses an operator that is not supported"


class UnsupportedTorchScript(ModelError):
    """The TorchScript module cannot be exported to ONNX."""

    code = "model.unsupported_torchscript"
    title = "The TorchScript module cannot be exported to ONNX"


class StatefulModule(ModelError):
    """The TorchScript module changes its own state, so that its output depends on earlier calls."""

    code = "model.stateful"
    title = "The module keeps state between calls"


class NothingToQuantize(ModelError):
    """The model has no layer whose weights quantd quantizes."""

    code = "model.nothing_to_quantize"
    title = "The model has no layer to quantize"


class AlreadyQuantized(ModelError):
    """The model has quantized layers already."""

    code = "model.already_quantized"
    title = "The model has layers that are quantized already"


class NonFiniteWeight(ModelError):
    """A weight is NaN or infinite."""

    code = "model.non_finite_weight"
    title = "A weight is NaN or infinite"


class LargeModel(ModelError):
    """The model is too large to be in memory as a whole, which the requested methods need."""

    code = "model.too_large"
    title = "The model is too large for this spec"


class DatasetError(QuantdError):
    """The dataset cannot be used, for a reason that no narrower class names."""

    code = "dataset.invalid"
    title = "The dataset cannot be used"


class UnreadableDataset(DatasetError):
    """The file is no readable data set, or it holds something that is not accepted, such as pickled objects."""

    code = "dataset.unreadable"
    title = "The file is not a readable dataset"


class UnsupportedDataset(DatasetError):
    """The library that reads files of this format is not installed."""

    code = "dataset.unsupported_format"
    title = "Datasets of this format are not accepted"


class InputMismatch(DatasetError):
    """An array is missing, or its name, dtype or shape does not fit the model's inputs."""

    code = "dataset.input_mismatch"
    title = "The dataset does not fit the model's inputs"


class NonFiniteData(DatasetError):
    """An array holds NaN or infinity."""

    code = "dataset.non_finite"
    title = "The dataset holds NaN or infinite values"


class SpecError(QuantdError):
    """The spec has an unknown key or an impossible value."""

    code = "spec.invalid"
    title = "The spec is not valid"


class DataRequired(SpecError):
    """The spec needs a calibration or evaluation dataset that was not given."""

    code = "spec.data_required"
    title = "The spec asks for data that was not given"


class InputShapesRequired(SpecError):
    """The input shapes of a TorchScript module are neither in the spec nor in the file."""

    code = "spec.input_shapes_required"
    title = "The shapes of the module's inputs are not known"


class BudgetTooSmall(SpecError):
    """Even the smallest bit widths exceed the size budget."""

    code = "spec.budget_too_small"
    title = "The model cannot be made small enough for the budget"


class ExportError(QuantdError):
    """ONNX Runtime cannot load or run the quantized model."""

    code = "export.invalid"
    title = "The quantized model does not run"
