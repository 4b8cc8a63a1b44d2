"""The nouns of the flow; no room is below this one."""
