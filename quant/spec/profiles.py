"""Profiles: the machines that a model is exported for, with the options that they need and the limits that they set.

A profile is one `Profile` and one line of `PROFILES`. The rules of `quant.lint` compare the exported model with its
`MachineLimits`. docs/machines.md has the sources of all options and limits.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class MachineLimits:
    """The models that a machine takes, as its documentation says; None and empty collections set no limit.

    Attributes:
        activation_types: the types of the codes of activations.
        zero_point_free: True if the zero points of activations must be 0.
        power_of_two: True if scales must be powers of two.
        weight_types: the types of the codes of weights, as a DequantizeLinear reads them from the file.
        weight_scales: the weights that may share a scale.
        narrow_weights: True if the codes of weights must be at least -127.
        bias: the forms of a quantized layer's bias; codes of int32 have the scale of input times weight.
        quantized_inputs: True if a layer with a quantized weight must have a quantized input.
        whole: True if every operator on floats must have quantized inputs and outputs.
        same_scales: operators whose inputs and outputs must have one scale and one zero point.
        fixed_scales: the scale and the zero point that the output of an operator must have, by operator.
        int16_pair_sums: True if sums of two adjacent products of 8 bits must fit 16 bits.
        max_opset: the highest opset.
        fixed_shapes: True if the shapes of inputs must be fixed.
        refused: operators that the machine does not take.
    """

    activation_types: tuple[str, ...] = ()
    zero_point_free: bool = False
    power_of_two: bool = False
    weight_types: tuple[str, ...] = ()
    weight_scales: tuple[Literal["tensor", "channel", "block"], ...] = ()
    narrow_weights: bool = False
    bias: tuple[Literal["int32", "float"], ...] = ()
    quantized_inputs: bool = False
    whole: bool = False
    same_scales: frozenset[str] = frozenset()
    fixed_scales: Mapping[str, tuple[float, int]] = field(default_factory=dict)
    int16_pair_sums: bool = False
    max_opset: int | None = None
    fixed_shapes: bool = False
    refused: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Profile:
    """A machine.

    Attributes:
        name: the name in a spec.
        description: the use of the profile, for people who choose one.
        options: the options of a spec that it sets where the caller does not; those of activations apply where the
            preset quantizes activations.
        limits: the models that the machine takes.
        source: the document that the limits are from.
        fast_storage: True if weights may be stored in the nodes that ONNX Runtime's CPU kernels run fastest.
        timed_here: True if times that are measured with ONNX Runtime on this CPU hold for the machine.
    """

    name: str
    description: str
    options: Mapping[str, Any] = field(default_factory=dict)
    limits: MachineLimits = MachineLimits()
    source: str = ""
    fast_storage: bool = False
    timed_here: bool = False


ORT_CPU = Profile(
    "ort-cpu",
    "ONNX Runtime on x86 CPUs with VNNI: unsigned activations, and the weight forms of its fastest kernels.",
    fast_storage=True,
    timed_here=True,
)
ORT_CPU_AVX2 = Profile(
    "ort-cpu-avx2",
    "ONNX Runtime on x86 CPUs without VNNI, whose kernels add two products in 16 bits: no such sum overflows.",
    options={"weights": {"pair_sums": "int16"}},
    limits=MachineLimits(int16_pair_sums=True),
    source="https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html#data-type-selection",
    fast_storage=True,
    timed_here=True,
)
ORT_ARM64 = Profile(
    "ort-arm64",
    "ONNX Runtime on 64-bit ARM CPUs: signed activations and weights.",
    options={"activations": {"sign": "signed"}},
    limits=MachineLimits(activation_types=("int8", "int16")),
    source="https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html#data-type-selection",
    fast_storage=True,
)
GENERIC = Profile(
    "generic",
    "Any runtime: signed, symmetric activations and the standard DequantizeLinear.",
    options={"activations": {"symmetric": True}},
)
OPENVINO = Profile(
    "openvino",
    "OpenVINO on Intel CPUs and GPUs: its low precision transformations take 8-bit activations and weights.",
    options={"export": {"weight_storage": "direct"}},
    limits=MachineLimits(activation_types=("uint8", "int8"), weight_types=("int8", "uint8", "int4", "uint4")),
    source="https://docs.openvino.ai/latest/openvino_docs_OV_UG_lpt.html",
)
TENSORRT = Profile(
    "tensorrt",
    "NVIDIA TensorRT with explicit quantization: symmetric INT8 activations and float biases.",
    options={
        "activations": {"symmetric": True},
        "export": {"bias": "float", "weight_storage": "direct"},
    },
    limits=MachineLimits(
        activation_types=("int8",),
        zero_point_free=True,
        weight_types=("int8", "int4"),
        bias=("float",),
        quantized_inputs=True,
        max_opset=25,
    ),
    source="https://docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/work-quantized-types.html",
)
QNN = Profile(
    "qnn",
    "Qualcomm HTP through ONNX Runtime's QNN provider: unsigned activations, and the whole graph quantized.",
    options={"export": {"weight_storage": "direct"}},
    limits=MachineLimits(
        activation_types=("uint8", "uint16"),
        weight_types=("int8", "uint8", "int4"),
        weight_scales=("tensor", "channel"),
        bias=("int32",),
        quantized_inputs=True,
        whole=True,
        fixed_shapes=True,
        refused=frozenset({"If", "Loop", "Scan"}),
    ),
    source="https://onnxruntime.ai/docs/execution-providers/QNN-ExecutionProvider.html",
)
VITIS_AI = Profile(
    "vitis-ai",
    "AMD NPUs with XINT8: symmetric activations and weights per tensor, all scales powers of two.",
    options={
        "activations": {"symmetric": True, "scale": "power_of_two"},
        "weights": {"granularity": "tensor", "scale": "power_of_two"},
        "export": {"weight_storage": "direct"},
    },
    limits=MachineLimits(
        activation_types=("int8",),
        zero_point_free=True,
        power_of_two=True,
        weight_types=("int8",),
        weight_scales=("tensor",),
        bias=("int32",),
        quantized_inputs=True,
    ),
    source="https://quark.docs.amd.com/latest/supported_accelerators/ryzenai/int8_int16_quantization.html",
)
RKNN = Profile(
    "rknn",
    "Rockchip NPUs through RKNN-Toolkit2: signed 8-bit activations and weights, opset 19 or earlier.",
    options={
        "activations": {"sign": "signed"},
        "export": {"weight_storage": "direct", "max_opset": 19},
    },
    limits=MachineLimits(
        activation_types=("int8",),
        weight_types=("int8",),
        weight_scales=("tensor", "channel"),
        quantized_inputs=True,
        max_opset=19,
    ),
    source="https://github.com/airockchip/rknn-toolkit2/blob/master/CHANGELOG.md",
)
_MOVES = frozenset({
    "MaxPool", "AveragePool", "GlobalAveragePool", "Concat", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Resize",
    "SpaceToDepth", "Pad", "Gather", "Transpose", "Slice", "Max", "Min",
})  # fmt: skip
TFLITE = Profile(
    "tflite",
    "The 8-bit scheme of TensorFlow Lite: signed activations, weights from -127 to 127, int32 biases.",
    options={"activations": {"sign": "signed"}, "export": {"weight_storage": "direct"}},
    limits=MachineLimits(
        activation_types=("int8",),
        weight_types=("int8",),
        weight_scales=("tensor", "channel"),
        narrow_weights=True,
        bias=("int32",),
        quantized_inputs=True,
        whole=True,
        same_scales=_MOVES,
        fixed_scales={
            "Sigmoid": (1 / 256, -128),
            "Softmax": (1 / 256, -128),
            "Tanh": (1 / 128, 0),
            "LogSoftmax": (16 / 256, 127),
        },
    ),
    source="https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec",
)
PROFILES: Mapping[str, Profile] = {
    profile.name: profile
    for profile in (
        ORT_CPU,
        ORT_CPU_AVX2,
        ORT_ARM64,
        GENERIC,
        OPENVINO,
        TENSORRT,
        QNN,
        VITIS_AI,
        RKNN,
        TFLITE,
    )
}
"""Every profile by its name, in the order in which people see them."""
