"""liquid_nav_sim: a PyBullet quadrotor that emits time-stamped asynchronous sensor events.

It behaves like a real vehicle: camera frames and IMU samples leave on their own clocks, late and
with gaps, and velocity commands come in. It knows the events and the command of `liquid_nav` and
nothing else of it.
"""
