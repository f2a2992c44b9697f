"""Closed-loop flights, the benchmark over them, and its statistics, plots and videos."""
