"""Grids: the levels of a quantizer and the error expected under a fit."""
