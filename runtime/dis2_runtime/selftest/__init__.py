"""What a bundle does here, by its own goldens: `verify` holds every model to them, `prove` also times and chooses."""
