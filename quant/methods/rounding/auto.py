"""Error feedback where it can be used."""

from typing import ClassVar, Literal

from quant.methods.rounding.error_feedback import Feedback


class AutoRounding(Feedback):
    """Error feedback for blocks and recurrent layers with calibration data, to nearest for all others."""

    name: Literal["auto"] = "auto"
    for_blocks: ClassVar[bool] = True
