"""One student a scenario, and what its full-sensor teacher tells it."""
