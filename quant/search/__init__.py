"""Choosing between candidates: allocation of bits, variants of the model, the smallest model within gates."""
