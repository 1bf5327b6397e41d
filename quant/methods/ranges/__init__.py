"""Range rules: the interval of values that an activation is quantized to."""
