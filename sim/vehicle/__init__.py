"""The quadrotor: airframe, rotors, battery, mixer, autopilot, and the files that describe one."""
