"""Quantizing the weights of one layer at a time."""
