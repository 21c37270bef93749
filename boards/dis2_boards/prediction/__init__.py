"""Predict latency, energy and memory of a quantised run on a board, before any hardware is touched."""
