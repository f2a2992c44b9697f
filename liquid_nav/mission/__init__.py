"""From take-off to landing over MAVLink: checks, arming, hand-over, watch, landing."""
