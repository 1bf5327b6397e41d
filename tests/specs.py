"""Parts of specs that leave out work which a test does not look at."""

UNTIMED = {"measure": {"latency": False}}
"""Without the latency, a fifth of the time of a small model's job."""

UNMEASURED = {**UNTIMED, "report": "weights"}
"""Without the measurements of the report at the outputs of layers either, another fifth."""

QUICK_WEIGHTS = {"clipping": "minmax", "distributions": ["gaussian"], "rounding": "nearest"}
"""The quickest way to choose codes: other roundings, without data, wait for synthetic inputs."""

QUICK = {"preset": "int8-weights", "weights": QUICK_WEIGHTS, "bias_correction": "none"}
"""A job of a quarter of a second of processor time instead of one and a half."""
