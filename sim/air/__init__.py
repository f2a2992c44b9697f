"""Wind and turbulence."""
