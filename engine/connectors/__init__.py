"""One file per kind of system outside, and the registry that finds it. Nothing is imported before it is used."""
