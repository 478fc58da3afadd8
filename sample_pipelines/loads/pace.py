"""How long the samples pretend to work."""

import os
import time

SCALE = float(os.environ.get("PENSTOCK_TIME_SCALE") or 1)


def work(seconds):
    """Take as long as the real thing would; PENSTOCK_TIME_SCALE=0.02 makes a minute of it about a second."""
    time.sleep(seconds * SCALE)
