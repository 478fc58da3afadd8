"""Files and object stores as sources and destinations. Imported by heavy attempts only: Arrow takes its time."""
