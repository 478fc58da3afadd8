"""Frozen values that every room shares: definitions, runs, events, errors. Pure data: nothing here acts."""
