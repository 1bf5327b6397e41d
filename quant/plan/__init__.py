"""Plans and inspections: what a job would do with a model, found in seconds and without data."""
