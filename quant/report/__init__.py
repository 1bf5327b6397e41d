"""The report, the manifest and the result that they are written from."""
