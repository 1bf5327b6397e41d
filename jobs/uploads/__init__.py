"""Checks of uploaded bytes that need no model parser; gateway and worker share them."""
