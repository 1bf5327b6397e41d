"""The section of the spec that applies to each layer: what the spec leaves open is decided by the layer's kind."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import onnx_ir as ir

from quant.graph.inventory import Layer
from quant.methods.clipping.minmax import MinMax
from quant.methods.grids.uniform import Uniform
from quant.methods.rounding.nearest import Nearest
from quant.spec import Spec, Weights
from quant.weights.storage_form import takes_blocks

SMALL_TABLE = 1e-3
"""The share of all weights below which a table stays in float. BERT's table of token types has 3 kB of 69 MB, and its
codes cost more accuracy than those of all other layers together."""
MIN_BLOCK_WEIGHTS = 1 << 14
"""The weights of the smallest matrix that gets blocks. Smaller ones, such as the classifier of a small network of
convolutions, would gain less accuracy than their more scales and nodes are worth."""
HEAD_RATIO = 4
"""The outputs of a head for each of its inputs. A vocabulary is many times wider than the vectors it is read from; the
classes of an image classifier are not."""
TABLE_BITS = 8


@dataclass(frozen=True)
class LayerSections:
    """The layers of a model, and the spec that they are quantized by; `calibrated` with calibration data."""

    layers: Sequence[Layer]
    spec: Spec
    calibrated: bool = True

    def section(self, layer: Layer) -> Weights | str:
        """Return the layer's section with nothing left open, or the reason why the layer stays in float.

        Its option `tables` is `int8` for tables and heads with 8 bits, and `same` for all others.
        """
        section = self.spec.weights_for(layer.name, layer.op)
        if section is None:
            return "a layer rule of the spec skips it"
        if self._is_vocabulary(layer) and section.tables != "same":
            if section.tables == "float":
                return "tables are left in float"
            if layer.operator.lookup and layer.size < SMALL_TABLE * self._size:
                share = 100 * layer.size / self._size
                return f"its table is {share:.2g} % of the weights: codes would save next to nothing and cost accuracy"
            return self._as_table(layer, section)
        return self._with_blocks(layer, section.model_copy(update={"tables": "same"}))

    def _is_vocabulary(self, layer: Layer) -> bool:
        """Return True for a table or a head whose bits neither a rule nor a search gives."""
        if self.spec.allocates or self.spec.bits_are_given(layer.name, layer.op):
            return False
        return layer.operator.lookup or layer.weight_name in self._tables or is_head(layer, self._nodes)

    def _as_table(self, layer: Layer, section: Weights) -> Weights:
        """Return the section with 8 bits for each channel; a weight that a table and a matrix share is stored once."""
        options = {"bits": TABLE_BITS, "granularity": "channel", "grid": Uniform(), "rounding": Nearest()}
        shared = layer.weight_name in self._tables and len(layer.operand(layer.weight_index).uses()) > 1
        return section.model_copy(update=options | ({"clipping": MinMax()} if shared else {}))

    def _with_blocks(self, layer: Layer, section: Weights) -> Weights:
        """Return the section with blocks or channels where the granularity is `auto`, and the rounding that goes along.

        The rounding `auto` is for blocks, recurrent layers and bits that a search gives, where scales of blocks would
        outweigh narrow codes, and for all layers without calibration data.
        """
        if section.granularity == "auto":
            blocks = (
                self.spec.activations is None
                and not self.spec.allocates
                and section.grid.uniform
                and section.scale == "any"
                and layer.size >= MIN_BLOCK_WEIGHTS
                and takes_blocks(layer)
            )
            section = section.model_copy(update={"granularity": "block" if blocks else "channel"})
        in_blocks = section.granularity == "block" and takes_blocks(layer)
        usual = not in_blocks and not layer.weight_operand.recurrent and not self.spec.allocates
        if section.rounding.for_blocks and usual and self.calibrated:
            section = section.model_copy(update={"rounding": Nearest()})
        return section

    @cached_property
    def _size(self) -> int:
        return sum(layer.size for layer in self.layers)

    @cached_property
    def _tables(self) -> frozenset[str]:
        """The names of the weights that are looked up."""
        return frozenset(layer.weight_name for layer in self.layers if layer.operator.lookup)

    @cached_property
    def _nodes(self) -> frozenset[ir.Node]:
        return frozenset(layer.node for layer in self.layers)


def is_head(layer: Layer, nodes: frozenset[ir.Node]) -> bool:
    """Return True for a matrix with many outputs that no other of the layers' nodes follows: the head of a language.

    Args:
        layer: the layer.
        nodes: the nodes of all layers.
    """
    reduced = layer.reduced_axis
    if reduced is None or layer.is_batch or layer.shape[layer.axis] < HEAD_RATIO * layer.shape[reduced]:
        return False
    pending, seen = [layer.node], {layer.node}
    while pending:
        for output in pending.pop().outputs:
            for reader, _ in output.uses():
                if reader in nodes:
                    return False
                if reader not in seen:
                    seen.add(reader)
                    pending.append(reader)
    return True
