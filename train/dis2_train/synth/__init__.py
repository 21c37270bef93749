"""Procedural scenes with their truth: the data that dis2-edge carries with it, for trials without a data set."""
