"""Reconstruction: layers are rounded one after the other for the inputs that the quantized model gives them.

The plug-in rounds as error feedback does. `quant/search/reconstruction.py` then rounds each layer again. See
docs/methods.md, 'Reconstruction'.
"""

from typing import ClassVar, Literal

from quant.methods.rounding.error_feedback import Feedback


class Reconstruct(Feedback):
    """Error feedback, then each layer again for its inputs in the quantized model; slower; needs calibration data."""

    name: Literal["reconstruct"] = "reconstruct"
    needs_data: ClassVar[bool] = True
    reconstructs: ClassVar[bool] = True
