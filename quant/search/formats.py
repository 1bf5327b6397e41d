"""The formats that a search chooses from for each weight: the bits of its codes and the grid of their levels."""

from collections.abc import Sequence
from dataclasses import dataclass

from quant.export.storage import stored_bits
from quant.graph.inventory import Layer
from quant.methods.grids.auto import AutoGrid
from quant.methods.grids.kmeans import KMeans
from quant.methods.grids.mid_rise import MidRise
from quant.methods.grids.ternary import TernaryOptimal
from quant.methods.grids.uniform import Uniform
from quant.methods.registry import Grid
from quant.search.context import Work
from quant.spec import Spec, Weights
from quant.weights.storage_form import storage_form


@dataclass(frozen=True)
class WeightFormat:
    """A width and a grid."""

    bits: int
    grid: Grid


FORMATS: Sequence[WeightFormat] = (
    WeightFormat(8, Uniform()),
    WeightFormat(7, Uniform()),
    WeightFormat(6, Uniform()),
    WeightFormat(5, Uniform()),
    WeightFormat(4, KMeans()),
    WeightFormat(4, KMeans(tables="layer")),
    WeightFormat(4, Uniform()),
    WeightFormat(3, KMeans()),
    WeightFormat(3, KMeans(tables="layer")),
    WeightFormat(3, Uniform()),
    WeightFormat(2, KMeans()),
    WeightFormat(2, KMeans(tables="layer")),
    WeightFormat(2, MidRise()),
    WeightFormat(2, TernaryOptimal()),
)
"""The formats of the grid `auto`, the widest first. Those that a file does not store in as many bits are left out."""
WIDTHS = (8, 7, 6, 5, 4, 3, 2)
"""The widths of a grid that a spec names."""
GRID_BITS = 4
"""The most bits at which another grid than `auto` is used; wider weights are uniform."""


@dataclass(frozen=True)
class WeightFormats:
    """One weight with the formats that it may have, the widest first.

    Attributes:
        layers: the layers that share the weight.
        sections: for each format, the section of each layer.
    """

    layers: tuple[Layer, ...]
    sections: tuple[tuple[Weights, ...], ...]

    @property
    def size(self) -> int:
        """The number of the weight's elements."""
        return self.layers[0].size

    def work(self, number: int) -> list[tuple[Layer, Weights]]:
        """Return the layers with their sections in the format of this number."""
        return [*zip(self.layers, self.sections[number], strict=True)]


def weight_formats(work: Work, spec: Spec) -> tuple[WeightFormats, ...]:
    """Return every weight with its formats; layers that share a weight and its formats share its format."""
    groups: dict[tuple[object, ...], list[tuple[Layer, list[Weights]]]] = {}
    for layer, section in work:
        sections = format_sections(layer, section, spec)
        formats = tuple((each.bits, each.grid) for each in sections)
        groups.setdefault((layer.weight_name, layer.axis, formats), []).append((layer, sections))
    return tuple(
        WeightFormats(tuple(layer for layer, _ in group), tuple(zip(*(sections for _, sections in group), strict=True)))
        for group in groups.values()
    )


def format_sections(layer: Layer, section: Weights, spec: Spec) -> list[Weights]:
    """Return the section in each format that the layer may have, the widest first.

    A layer whose bits a rule of the spec sets has one section, its own. With another grid than `auto`, the formats are
    the widths of that grid up to `GRID_BITS`, and uniform ones above, where such grids are stored in 8 bits anyway.
    """
    if spec.bits_are_given(layer.name, layer.op):
        return [section.model_copy(update={"grid": Uniform()}) if isinstance(section.grid, AutoGrid) else section]
    form = storage_form(layer, section.model_copy(update={"grid": Uniform()}), spec)
    if isinstance(section.grid, AutoGrid):
        takes = _takes_codebooks(section, spec)
        formats = [format for format in FORMATS if format.grid.direct or takes]
    else:
        grids = [section.grid if bits <= GRID_BITS and bits in section.grid.widths else Uniform() for bits in WIDTHS]
        formats = [WeightFormat(bits, grid) for bits, grid in zip(WIDTHS, grids, strict=True)]
    stored = (format for format in formats if stored_bits(format.bits, spec.export.opset, form) == format.bits)
    return [section.model_copy(update={"bits": format.bits, "grid": format.grid}) for format in stored]


def _takes_codebooks(section: Weights, spec: Spec) -> bool:
    """Return True if the target and the granularity of a section allow levels that nodes compute from the codes."""
    fast = spec.export.weight_storage == "fast" and spec.export.target.fast_storage
    plain = section.granularity != "block" and section.scale == "any" and section.pair_sums == "any"
    return fast and plain
