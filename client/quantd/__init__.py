"""The client of the service: the command `quantd` and a Python interface."""
