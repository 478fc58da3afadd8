"""Data inside an attempt: Arrow streams, types, staging. Imported by heavy attempts only: Arrow takes its time."""
