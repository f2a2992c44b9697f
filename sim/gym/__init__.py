"""Gymnasium environments of all tasks."""
