"""Stage 3: run a bundle on the aircraft, a mask for every tick. Never imports torch."""
