"""Guaranteed bounds of the output error of a quantized model."""
