"""Parts of specs that leave out work which a test does not look at."""

UNTIMED = {"measure": {"latency": False}}
"""Without the latency, a fifth of the time of a small model's job."""

QUICK_WEIGHTS = {"clipping": "minmax", "distributions": ["gaussian"]}
QUICK = {"preset": "int8-weights", "weights": QUICK_WEIGHTS}
