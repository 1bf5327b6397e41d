"""Rules that give single layers other weight options than the rest of the model."""

from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import Discriminator, Tag

from quant.methods.registry import ClipRuleField, GridField, RoundingField
from quant.spec.sections import Section, Weights


class WeightsOverride(Section):
    """The weight options that a layer rule replaces; options that are not given stay as for the model."""

    bits: Literal[8, 7, 6, 5, 4, 3, 2] | None = None
    """Bits of a code; a budget leaves the bits of this layer as they are."""
    granularity: Literal["tensor", "channel", "block", "auto"] | None = None
    """The weights that share a scale."""
    block_size: Literal[16, 32, 64, 128] | None = None
    """Weights in a block."""
    grid: GridField | None = None
    """The rule for the levels of a codebook."""
    clipping: ClipRuleField | None = None
    """The rule for the clip bound."""
    rounding: RoundingField | None = None
    """The rule that assigns a level to each weight."""

    def apply(self, weights: Weights) -> Weights:
        """Return the weights section with these options replaced.

        Raises:
            ValueError: the options do not go together with the others.
        """
        replaced = {name: value for name, value in self if value is not None}
        return Weights.model_validate({**dict(weights), **replaced})


class OperatorMatch(Section):
    """A match of all layers of one operator, such as `{op: Conv}`."""

    op: Literal["Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN", "Gather"]
    """The operator."""


class LayerRule(Section):
    """An exception for some layers; the first rule that matches a layer applies."""

    match: Annotated[
        Annotated[str, Tag("glob")] | Annotated[OperatorMatch, Tag("operator")],
        Discriminator(lambda value: "glob" if isinstance(value, str) else "operator"),
    ]
    """A glob on the layer's name, such as `*.fc`, or an operator."""
    skip: bool = False
    """The layer stays in float."""
    weights: WeightsOverride = WeightsOverride()
    """The weight options that differ for the layer."""

    def matches(self, name: str, op: str) -> bool:
        """Return True if the rule matches a layer of this name and operator."""
        if isinstance(self.match, OperatorMatch):
            return self.match.op == op
        return fnmatchcase(name, self.match)
