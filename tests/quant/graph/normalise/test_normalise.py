"""Normalising keeps the outputs, and each pass ensures what its module says."""

from contextlib import suppress

import numpy as np
import onnx_ir as ir
import pytest
from onnx import helper

from quant.errors import ModelError
from quant.graph.constants import constant
from quant.graph.load.onnx_file import load
from quant.graph.names import MAX_NAME
from quant.graph.normalise.batchnorm import fold_batchnorm
from quant.graph.normalise.clip import simplify_clip
from quant.graph.normalise.compare import difference
from quant.graph.normalise.convert import IR_VERSIONS, at_opset, raise_ir_version
from quant.graph.normalise.einsum import rewrite_einsum
from quant.graph.normalise.float32 import HALVES, to_float32
from quant.graph.normalise.fold import fold_constants
from quant.graph.normalise.generated import generated_feeds
from quant.graph.normalise.initializers import lift_constants
from quant.graph.normalise.inline import inline_functions
from quant.graph.normalise.linear import simplify_linear
from quant.graph.normalise.names import name_nodes
from quant.graph.normalise.normalise import OPSET, PASSES, normalise
from quant.graph.normalise.pads import fold_pads, has_borders
from quant.graph.normalise.unused import remove_unused
from quant.graph.signature import declare_types, signature_of
from quant.runtime import Session
from tests.quant.graph.models import assert_same_outputs, model_of, random_tensor, run, serialized

REAL_MODELS = [
    "models/mnist_opset8", "models/resnet8_mlperftiny", "models/resnet20_cifar10", "models/vit_mnist",
    "models/vww_mobilenetv1_025", "coverage/basic_pitch", "coverage/dtln_1", "coverage/dtln_2", "coverage/magika_v3_3",
    "coverage/oww_alexa_v0.1", "coverage/oww_melspectrogram", "coverage/ppocrv3_det", "coverage/silero_vad",
    "coverage/silero_vad_half", "coverage/stories260K", "coverage/ultraface_rfb320", "coverage/yunet_n_dynamic",
    "modern/g1_policy", "modern/gtcrn", "modern/mamba", "modern/swift_f0",
]  # fmt: skip


@pytest.mark.parametrize("opset", [7, 9, 13, 17, 21])
def test_every_opset_is_brought_to_21(opset):
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["h"]), helper.make_node("Relu", ["h"], ["y"])]
    data = model_of(nodes, [random_tensor("w", 6, 5), random_tensor("b", 5)], opset=opset)
    model = normalise(load(data))
    assert model.opset_imports[""] == 21
    assert_same_outputs(data, model, {"x": ["N", 6]})


# What each pass ensures: a predicate is true after the pass and after all that follow it.


def graphs(model):
    return (model.graph, *model.graph.subgraphs())


def nodes_of(model, *operators):
    return [node for graph in graphs(model) for node in graph if node.op_type in operators]


def has_no_functions(model):
    return not model.functions


def computes_in_fp32(model):
    ends = {*model.graph.inputs, *model.graph.outputs}
    values = {value for graph in graphs(model) for node in graph for value in node.outputs} | {
        value for graph in graphs(model) for value in graph.initializers.values()
    }
    return not any(value.dtype in HALVES for value in values - ends)


def has_the_opset(model):
    return model.opset_imports[""] >= OPSET


def has_plain_constants(model):
    return not nodes_of(model, "Constant") and not any(value.is_initializer() for value in model.graph.inputs)


def has_folded_constants(model):
    rearranged = nodes_of(model, "Identity", "Transpose", "Squeeze", "Unsqueeze")
    return all(constant(node.inputs[0]) is None or node.outputs[0].is_graph_output() for node in rearranged)


def has_no_factors(model):
    gemms = nodes_of(model, "Gemm")
    constants = [(gemm, name) for gemm in gemms for name, index in (("alpha", 1), ("beta", 2))
                 if index < len(gemm.inputs) and constant(gemm.inputs[index]) is not None]  # fmt: skip
    return all(gemm.attributes.get_float(name, 1.0) == 1.0 for gemm, name in constants)


def has_scalar_bounds(model):
    bounds = [constant(value) for node in nodes_of(model, "Clip") for value in node.inputs[1:]]
    return all(bound is None or bound.ndim == 0 for bound in bounds)


def has_no_matrix_einsum(model):
    equations = [node.attributes.get_string("equation") for node in nodes_of(model, "Einsum")
                 if any(constant(value) is not None for value in node.inputs)]  # fmt: skip
    return not {"bsd,dh->bsh", "ij,jk->ik"} & set(equations)


def is_zero_pad(node):
    return len(node.inputs) == 2 and node.attributes.get_string("mode", "constant") == "constant"


def has_no_zero_pads_before_conv(model):
    """Borders along spatial axes only; those of other axes stay."""
    for pad in filter(is_zero_pad, nodes_of(model, "Pad")):
        widths = constant(pad.inputs[1])
        spatial = widths is not None and not np.reshape(widths, (2, -1))[:, :2].any() and widths.min() >= 0
        readers = [use.node for use in pad.outputs[0].uses()]
        plain = all(node.op_type == "Conv" and node.attributes.get_string("auto_pad", "NOTSET") == "NOTSET"
                    for node in readers)  # fmt: skip
        if spatial and readers and plain and not pad.outputs[0].is_graph_output():
            return False
    return True


def has_no_batchnorm_next_to_a_conv(model):
    for norm in nodes_of(model, "BatchNormalization"):
        before, value = norm.inputs[0].producer(), norm.inputs[0]
        if before is not None and before.op_type == "Conv" and len(value.uses()) == 1 and not value.is_graph_output():
            return False
        uses = tuple(norm.outputs[0].uses())
        if len(uses) == 1 and uses[0].node.op_type == "Conv" and not has_borders(uses[0].node):
            return False
    return True


def has_no_unused_initializers(model):
    values = [value for graph in graphs(model) for value in graph.initializers.values()]
    return all(value.uses() or value.is_graph_output() for value in values)


def has_unique_names(model):
    nodes = list(ir.traversal.RecursiveGraphIterator(model.graph))
    values = [value for node in nodes for value in node.outputs if value.name and not value.is_graph_output()]
    names = [node.name for node in nodes]
    return all(names) and len(set(names)) == len(names) and all(len(value.name) <= MAX_NAME for value in values)


def has_the_ir_version(model):
    return all(model.ir_version >= version for first, version in IR_VERSIONS.items() if first <= OPSET)


ENSURES = {
    lift_constants: has_plain_constants,
    fold_constants: has_folded_constants,
    rewrite_einsum: has_no_matrix_einsum,
    simplify_linear: has_no_factors,
    simplify_clip: has_scalar_bounds,
    fold_pads: has_no_zero_pads_before_conv,
    fold_batchnorm: has_no_batchnorm_next_to_a_conv,
    remove_unused: has_no_unused_initializers,
    name_nodes: has_unique_names,
    raise_ir_version: has_the_ir_version,
}


def test_there_is_a_check_for_every_pass():
    assert tuple(ENSURES) == PASSES


def accepted_feeds(path, model):
    """Generated inputs that the model accepts, and its outputs for them."""
    session = Session(path)
    for feeds in generated_feeds(model):
        with suppress(ModelError):
            return feeds, session.run(feeds)
    raise AssertionError(f"no generated inputs fit {path}")


def converted(model):
    """The first three steps of `normalise`, each with what it ensures."""
    inline_functions(model)
    assert has_no_functions(model)
    to_float32(model)
    assert computes_in_fp32(model)
    model = at_opset(model, OPSET)
    assert has_the_opset(model)
    return model


@pytest.mark.data
@pytest.mark.parametrize("name", REAL_MODELS)
def test_each_pass_keeps_the_outputs_of_real_models_and_ensures_its_form(data, name):
    path = data / f"{name}.onnx"
    model = load(path)
    feeds, expected = accepted_feeds(path, model)
    signature = signature_of(model)
    model, ensured = converted(model), [has_no_functions, computes_in_fp32, has_the_opset]
    for rewrite in PASSES:
        rewrite(model)
        ensured.append(ENSURES[rewrite])
        assert [check.__name__ for check in ensured if not check(model)] == [], f"after {rewrite.__name__}"
        fault = difference(expected, run(runnable(model), feeds))
        assert fault is None, f"after {rewrite.__name__}: {fault}"
    declare_types(model, signature)
    assert serialized(model) == serialized(normalise(load(path)))


def runnable(model):
    """The model with the IR version that its opset needs, which only the last pass sets."""
    proto = ir.to_proto(model)
    proto.ir_version = max(proto.ir_version, IR_VERSIONS[OPSET])
    return proto.SerializeToString()
