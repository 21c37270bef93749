"""What runs on the board during a deploy: standard library only, carried there in memory, and never half done."""
