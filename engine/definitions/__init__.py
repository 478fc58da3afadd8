"""Definitions: YAML and Python files into frozen values, checked, rendered and watched."""
