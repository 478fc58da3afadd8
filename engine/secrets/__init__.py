"""Secrets by reference: where values come from, and how they are kept out of all that is written."""
