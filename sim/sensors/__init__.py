"""Sensors: each is a source of asynchronous events with a model, a clock and a link."""
