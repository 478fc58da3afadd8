"""One rig per kind of system: each module here with an `open_rig` takes part in the data contract suites.

A rig makes tables, counts rows and looks for leftovers without the connector under test. `base.py` says what a rig
has; a module is named after its connection type.
"""

from __future__ import annotations

import pkgutil

NAMES = sorted(each.name for each in pkgutil.iter_modules(__path__) if each.name != "base")
