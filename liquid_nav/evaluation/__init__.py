"""Closed-loop flights, the benchmark over them, and what it shows: figures, plots, videos."""
