"""Where the aircraft flies, and where a mask lies on the ground."""
