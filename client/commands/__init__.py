"""The commands of `quantd`, a module for each group."""
