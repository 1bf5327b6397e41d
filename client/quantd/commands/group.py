"""The group of subcommands whose help texts are fast."""

from typing import Any

from typer.core import TyperGroup


class LightGroup(TyperGroup):
    """A group whose own options are all flags that are off by default.

    typer's own flags (help and completion) have the default None. To check None, typer would import pydantic for every
    subcommand's help text, which would double its time.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options with the default False."""
        options = super().get_params(ctx)
        for option in options:
            option.default = False
        return options
