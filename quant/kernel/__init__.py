"""Compiled loops over the rows of a weight, for models so large that loading the loops pays.

Every loop repeats NumPy code elsewhere in `quant`. That code is the reference: each module here names it, and
tests/quant/kernel compares the two. `python -m quant.warm_up` compiles all loops into the cache beside their sources,
so that no job has to. A loop takes `first` and `last`, the rows it works on, and writes to these rows only.
"""
