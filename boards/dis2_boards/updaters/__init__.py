"""For those who have an updater of their own (Mender, RAUC): one archive that it can carry, and how it is installed."""
