"""The vocabulary of a job's outcome: its stages, summary, gates and artifacts."""
