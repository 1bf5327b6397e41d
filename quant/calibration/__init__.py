"""Calibration: activation ranges and moments of layer inputs, measured on a calibration set or inferred without one."""
