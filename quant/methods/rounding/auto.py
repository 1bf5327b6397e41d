"""Error feedback where it can be used."""

from typing import ClassVar, Literal

from quant.methods.rounding.error_feedback import Feedback


class AutoRounding(Feedback):
    """Error feedback with data for blocks, recurrent layers and formats that a search gives; to nearest for others."""

    name: Literal["auto"] = "auto"
    for_blocks: ClassVar[bool] = True
