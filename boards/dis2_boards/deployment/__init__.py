"""From a bundle to a board that demonstrably runs it, or still runs what it ran before."""
