"""The pages in Debian's Chromium, with keys on and the network off."""
