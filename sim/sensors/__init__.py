"""Sensors: models, clocks and links, each a source of asynchronous events."""
