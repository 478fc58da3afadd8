"""What Penstock is measured by."""

import os
import sys

# As on the machines of those who use it: without bytecode each process would compile all of Penstock again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
