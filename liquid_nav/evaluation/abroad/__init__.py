"""Flights in simulators that we did not write, see `liquid_nav.evaluation.vehicle`."""
