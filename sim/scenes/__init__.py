"""Scenes to fly in: objects, their appearance, and their bodies in PyBullet."""
