"""Calibration and evaluation sets: reading `.npz` and `.npy` files, and batches of samples."""
