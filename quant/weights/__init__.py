"""Quantization of weights, one layer at a time: clip bounds, rounding, codes, scales and errors."""
