"""Access to hosts outside the service: checks of their URLs and addresses."""
