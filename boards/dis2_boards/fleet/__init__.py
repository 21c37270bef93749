"""Many boards, one command: a canary first, then waves, and a stop at the first wave that failed."""
