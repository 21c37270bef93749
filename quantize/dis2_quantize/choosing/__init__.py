"""Which blocks stay in floating point: damage and time of each, their Pareto front, a choice to replay."""
