"""Replays recorded flights through the controller, and compares the commands."""
