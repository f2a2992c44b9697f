"""The eyes of a vehicle that something else flies: frames of a task's scene, and a judge."""
