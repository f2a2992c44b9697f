"""Tasks: scenes to fly in, and what counts as success."""
