"""Equalization: rescaling a float model so that its weights quantize better, without changing its outputs."""
