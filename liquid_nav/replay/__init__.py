"""Recorded flights: read whatever recorded them, through the controller that flies, and compare."""
