"""A board without a board: an aarch64 Debian that runs here under QEMU's user emulation, deployed to for real.

`make board` (as root) makes it once, flies on it, and then does to it what happens to boards:
see docs/deploying/board.md.
"""
