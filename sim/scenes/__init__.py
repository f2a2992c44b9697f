"""What is flown in: objects, their looks, and their bodies in PyBullet."""
