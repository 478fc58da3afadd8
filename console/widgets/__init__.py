"""Widgets that every view is made of. They show cells and know nothing of pipelines."""
