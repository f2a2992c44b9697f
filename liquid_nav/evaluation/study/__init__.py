"""A study: several pilots fly the same scenes under the conditions of suites."""
