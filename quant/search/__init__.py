"""The choice between candidates: widths of weights, forms of the model, the smallest model within its gates."""
