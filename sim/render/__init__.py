"""Renders images of a scene: pinhole cameras, lenses, backgrounds and a ray caster."""
