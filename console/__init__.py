"""Penstock's terminal console."""
