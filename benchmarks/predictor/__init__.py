"""How far predictions of latency are off: held against this processor, a GPU, and published latencies."""
