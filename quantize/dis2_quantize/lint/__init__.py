"""Lint: what a finished model file must be, so that a board's engine loads it and computes in integers."""
