"""Metrics of tasks: detection, segmentation, retrieval, text, language, speech and regression."""
