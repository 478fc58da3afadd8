"""Contracts between rooms. A port's docstring is its contract; one suite exercises every adapter."""
