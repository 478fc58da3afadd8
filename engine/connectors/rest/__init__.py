"""Web services: requests with bounds, pages of records, and records sent back. Arrow is loaded by reads only."""
