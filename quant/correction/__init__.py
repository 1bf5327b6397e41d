"""Bias correction: the shifts that quantization causes in the means of channels, expected or measured."""
