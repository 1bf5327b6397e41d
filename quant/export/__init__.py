"""Export: quantized weights, activations and biases written into a model as standard ONNX."""
