"""Passes that bring a float model to the one form that the quantizer works on."""
