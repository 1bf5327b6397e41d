"""Comparison of the float model's outputs with the quantized model's."""
