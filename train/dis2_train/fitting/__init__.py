"""Fitting: from a recipe and data to a run folder, in one process or many, through stops and starts."""
