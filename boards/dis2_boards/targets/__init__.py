"""Where a deploy goes: a board over ssh, or a folder of this machine; one agent serves both in one way."""
