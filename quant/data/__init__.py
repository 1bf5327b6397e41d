"""Calibration and evaluation sets: reading `.npz` and `.npy` files, batching samples."""
