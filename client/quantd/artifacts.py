"""The artifacts of a job that the command reads, by their names in the API."""

MODEL = "model.onnx"
MODEL_DATA = "model.onnx.data"
"""The weights of a large model, which the model refers to by this name."""
REPORT = "report.json"
REPORT_PAGE = "report.html"
REPORT_MARKDOWN = "report.md"
LAYERS_CSV = "layers.csv"
