"""What a finished model file says: its wiring, and the type, shape and, where fixed, value of each tensor."""
