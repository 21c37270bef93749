"""Data on the way to a network: described and checked, decoded, cut, changed, and brought in time."""
