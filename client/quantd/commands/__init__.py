"""The subcommands of `quantd`: their options and help texts.

Modules here import only typer, the standard library and modules that are as light at their top. The work of a command
is imported when the command runs, so that help and completion are fast.
"""
