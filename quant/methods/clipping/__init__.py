"""Clip rules: the bound beyond which weights are clipped."""
