"""Compiled loops over the rows of a weight, for models so large that loading them pays.

Each does what NumPy code beside it in `quant` does, which stays as the reference of the tests. `python -m quant.kernel`
compiles them all into the cache beside their sources, so that no job has to.
"""
