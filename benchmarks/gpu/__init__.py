"""`make gpu`: prove our kernels on the GPU that is here, look for faults, time them against torch, keep the table."""
