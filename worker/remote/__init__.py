"""Transfers between the object store and hosts outside the service: sources of models, destinations of artifacts."""
