"""Images of a scene: the pinhole view, lenses, backgrounds, and a ray caster."""
