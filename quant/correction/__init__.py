"""Bias correction: measured on calibration data with a twin graph, or inferred from BatchNorm statistics."""
