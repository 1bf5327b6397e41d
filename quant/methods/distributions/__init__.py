"""Distributions of weights: row statistics, families, fits and the choice of a family."""
