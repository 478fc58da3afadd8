"""Queues and streams of messages: read within bounds and confirmed after the load, written with confirmation."""
