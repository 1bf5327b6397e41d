"""Lint: the rules of target machines, checked on exported models."""
