"""The float model: loading, normalising, its operators and the facts about its graph that later stages need."""
