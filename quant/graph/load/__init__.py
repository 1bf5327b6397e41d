"""Reading uploaded models: ONNX files, archives with external data, TorchScript."""
