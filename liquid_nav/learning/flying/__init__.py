"""Flights for training and evaluation: their conditions, who flies, and the processes that fly."""
