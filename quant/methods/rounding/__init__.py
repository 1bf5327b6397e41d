"""Roundings: the choice of a level for each weight."""
