"""Rewrites of a traced network that keep its function and make it cheaper to fly; each has a test of equality."""
