"""What each model file does on labelled data, and what proves it on a board."""
