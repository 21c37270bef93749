"""The way of a frame to the grid: holes filled, lens and homography in one look-up, large frames in windows."""
