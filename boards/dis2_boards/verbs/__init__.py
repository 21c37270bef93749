"""Verbs that act on boards."""
