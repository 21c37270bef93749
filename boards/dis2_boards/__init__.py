"""Boards as data, and how a bundle comes to one."""
