"""Specs for tests that are about the service: little work, every stage."""

QUICK_WEIGHTS = {"clipping": "minmax", "distributions": ["gaussian"]}
QUICK = {"preset": "int8-weights", "weights": QUICK_WEIGHTS}
