"""Published benchmarks, and large scenes of one's own, cut into the tiles of a data set that every verb reads."""
