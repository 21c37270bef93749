"""Model files: the export wrapper, and one dialect a file."""
