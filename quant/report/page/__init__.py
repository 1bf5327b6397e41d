"""The report page: one self-contained HTML file, rendered from the report."""
