"""The safety layer, the only exit for a command.

Limits, geofence, freshness, screening of measurements.
"""
