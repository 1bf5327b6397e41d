"""The channels of a layer: the clip bound, the error and the family of each."""

import numpy as np

from quant.evaluation.sqnr import sqnr_db
from quant.outcome.report.layer import MAX_CHANNELS, Channels
from quant.weights.granularity import PerBlock, PerTensor
from quant.weights.layers import QuantizedLayer

ONE_SCALE = "one scale for the whole weight: its channels have no bounds of their own"
BLOCKS = "the scales belong to blocks, not to channels"
IN_PARTS = "the layer was quantized in parts, whose errors are not known by channel"


def list_channels(layer: QuantizedLayer) -> tuple[Channels | None, str | None]:
    """Return the channels of a layer, or None and the reason why they are not known.

    Of more than `MAX_CHANNELS` channels, those with the least SQNR are listed.
    """
    weight, fitted = layer.quantized, layer.fitted
    if isinstance(weight.granularity, PerTensor):
        return None, ONE_SCALE
    if isinstance(weight.granularity, PerBlock):
        return None, BLOCKS
    errors, count = weight.errors, len(weight.clip)
    if len(errors.square) != count:
        return None, IN_PARTS
    pairs = zip(errors.energy.tolist(), errors.square.tolist(), strict=True)
    ratios = np.array([sqnr_db(signal, noise) for signal, noise in pairs])
    listed = np.sort(np.argsort(ratios, kind="stable")[:MAX_CHANNELS])
    family = fitted.fit.family if fitted.granularity == weight.granularity else None
    channels = Channels(
        channel=tuple(listed.tolist()),
        channels=count,
        bound=tuple(float(f"{bound:.4g}") for bound in weight.clip[listed].tolist()),
        sqnr_db=tuple(float(f"{ratio:.4g}") for ratio in ratios[listed].tolist()),
        family=None if family is None else tuple(family[row] for row in listed),
        clip_ratio=tuple(float(f"{ratio:.4g}") for ratio in errors.clip_ratio[listed].tolist()),
    )
    return channels, None
