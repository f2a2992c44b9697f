"""The controller node: sensors in, commands out, diagnostics and recordings."""
