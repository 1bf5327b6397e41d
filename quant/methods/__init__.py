"""The plug-ins of the quantizer: distributions, grids, clip rules, range rules, roundings, and their registry."""
