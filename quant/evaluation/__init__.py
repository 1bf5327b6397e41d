"""Comparing the outputs of the float and the quantized model, and checking gates."""
