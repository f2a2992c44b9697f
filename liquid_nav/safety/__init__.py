"""The safety layer, through which every command leaves.

It holds the limits, the geofence, the freshness of channels and the screening of measurements.
"""
