"""Specs for tests of the service: every stage, with little work."""

QUICK_WEIGHTS = {"clipping": "minmax", "distributions": ["gaussian"]}
QUICK = {"preset": "int8-weights", "weights": QUICK_WEIGHTS}
