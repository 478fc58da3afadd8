"""Penstock's engine: definitions, scheduling, execution and their records. No user interface lives here."""
