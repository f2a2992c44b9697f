"""Tasks: the scenes of flights, and their conditions of success."""
