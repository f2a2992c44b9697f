"""Record flights: events, commands and settings, and the files that hold them."""
