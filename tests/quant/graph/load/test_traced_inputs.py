"""Inputs of a trace: they are read from its pickle, and nothing in the pickle is ever run."""

import io
import pickle
import random
import zipfile
from contextlib import suppress

import pytest
import torch

from quant.errors import UnreadableModel
from quant.graph.load.traced_inputs import MAX_BYTES, TracedTensor, read_traced_inputs

pytestmark = pytest.mark.filterwarnings("ignore")  # torch.jit is deprecated as a whole


class Several(torch.nn.Module):
    def forward(self, x, pair: tuple[torch.Tensor, torch.Tensor], ids):
        return x + pair[0] * pair[1], ids


def pickled(path):
    with zipfile.ZipFile(path) as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith("traced_inputs.pkl")))


@pytest.fixture
def traced(save_module):
    inputs = torch.ones(2, 3), (torch.ones(3, dtype=torch.float64), torch.ones(())), torch.ones(4, dtype=torch.int64)
    return pickled(save_module(Several(), *inputs))


def test_dtypes_and_shapes_are_read_in_the_structure_of_the_call(traced):
    assert read_traced_inputs(traced) == [
        TracedTensor("float32", (2, 3)),
        (TracedTensor("float64", (3,)), TracedTensor("float32", ())),
        TracedTensor("int64", (4,)),
    ]


@pytest.mark.parametrize(
    ("dtype", "name"),
    [(torch.float16, "float16"), (torch.bfloat16, "bfloat16"), (torch.uint8, "uint8"), (torch.bool, "bool"),
     (torch.int32, "int32"), (torch.int16, "int16"), (torch.int8, "int8")],
)  # fmt: skip
def test_every_dtype_is_known(save_module, dtype, name):
    assert read_traced_inputs(pickled(save_module(torch.nn.Identity(), torch.ones(1, 2).to(dtype)))) == [
        TracedTensor(name, (1, 2))
    ]


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("resnet20_cifar10", (1, 3, 32, 32)),
        ("vit_mnist", (2, 1, 28, 28)),
        ("mobilenetv1_075_imagenet", (1, 3, 224, 224)),
    ],
)
def test_real_traces_are_read(data, name, shape):
    assert read_traced_inputs(pickled(data / "models" / f"{name}.pt")) == [TracedTensor("float32", shape)]


def laughs():
    """10 to the 12 values in a few bytes."""
    value = [0]
    for _ in range(12):
        value = [value] * 10
    return value


class Attack:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (str(self.target), "w"))


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path, protocol):
    with pytest.raises(UnreadableModel, match=r"traced_inputs\.pkl"):
        read_traced_inputs(pickle.dumps({"forward": [Attack(tmp_path / "written")]}, protocol))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x02.",
        b"\x80\x02}.",
        pickle.dumps({"forward": 3}, 2),
        pickle.dumps([1, 2], 2),
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.",
        b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.",
        b"\x80\x02cbuiltins\ndict\n)\x81}b.",  # NEWOBJ and BUILD
        b"(ios\nsystem\n.",  # INST
        b"\x80\x02" + b"(" * 100_000 + b"t" * 99_999 + b".",
        b" " * (MAX_BYTES + 1),
        b"\x80\x02}X\x07\x00\x00\x00forward]q\x00h\x00as.",  # a list that holds itself
        pickle.dumps({"forward": laughs()}, 2),
    ],
)
def test_what_is_no_list_of_arguments_is_refused(data):
    with pytest.raises(UnreadableModel):
        read_traced_inputs(data)


def test_mutated_pickles_are_read_or_refused(traced):
    chance = random.Random(0)
    for _ in range(3000):
        broken = bytearray(traced)
        for _ in range(chance.randint(1, 6)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        with suppress(UnreadableModel):
            read_traced_inputs(bytes(broken))


def test_torch_reads_the_same(traced, save_module):
    """The other answer: torch's own loading of the archive gives modules, whose traces run at these shapes."""
    x, pair, ids = read_traced_inputs(traced)
    module = torch.jit.load(io.BytesIO((save_module(Several(), torch.ones(2, 3), (torch.ones(3), torch.ones(())),
                                                    torch.ones(4))).read_bytes()))  # fmt: skip
    out, _ = module(torch.zeros(x.shape), tuple(torch.zeros(part.shape) for part in pair), torch.zeros(ids.shape))
    assert out.shape == x.shape
