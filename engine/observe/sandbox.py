"""Which sandbox tier this machine reaches: full, kernel or weak (FAULTS).

Law: probing changes nothing in this process. Landlock and seccomp are asked with calls that cannot take effect;
namespaces are tried in a short process of their own. The tier is stated; what needs it refuses by itself.
"""

from __future__ import annotations

import ctypes
import errno
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime

from engine.model.health import HealthCheckResult, HealthStatus

_LANDLOCK_CREATE_RULESET = 444  # the same number on every architecture
_LANDLOCK_VERSION = 1
_PR_SET_SECCOMP, _SECCOMP_FILTER = 22, 2
_TRY_NAMESPACES = """
import ctypes, os, sys
NEWUSER, NEWPID, NEWNET, NEWIPC = 0x10000000, 0x20000000, 0x40000000, 0x08000000
sys.exit(0 if ctypes.CDLL(None, use_errno=True).unshare(NEWUSER | NEWPID | NEWNET | NEWIPC) == 0 else 1)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walls:
    """What the kernel offers here."""

    namespaces: bool
    landlock: int  # ABI version, 0 when there is none
    seccomp: bool

    @property
    def tier(self) -> str:
        """full: all three. kernel: no namespaces. weak: resource limits only."""
        if not (self.landlock and self.seccomp):
            return "weak"
        return "full" if self.namespaces else "kernel"


def tier(now: datetime, walls: Walls) -> HealthCheckResult:
    """The tier as a sentence."""
    has = {"namespaces": walls.namespaces, "Landlock": bool(walls.landlock), "seccomp": walls.seccomp}
    missing = [name for name, there in has.items() if not there]
    lacks = f"; missing: {', '.join(missing)}" if missing else ""
    return HealthCheckResult(
        component="sandbox",
        status=HealthStatus.HEALTHY,
        message=f"This machine reaches the tier '{walls.tier}'{lacks}. Shell and python tasks are not sandboxed.",
        metrics={
            "tier": walls.tier,
            "namespaces": int(walls.namespaces),
            "landlock_abi": walls.landlock,
            "seccomp": int(walls.seccomp),
        },
        at=now,
    )


def probe() -> Walls:
    """Ask the kernel."""
    if not sys.platform.startswith("linux"):
        return Walls(namespaces=False, landlock=0, seccomp=False)
    library = ctypes.CDLL(None, use_errno=True)
    return Walls(namespaces=_namespaces(), landlock=_landlock(library), seccomp=_seccomp(library))


def _landlock(library: ctypes.CDLL) -> int:
    """Asked for its version only, the call makes no ruleset."""
    return max(0, int(library.syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_VERSION)))


def _seccomp(library: ctypes.CDLL) -> bool:
    """A filter at no address: EFAULT says the kernel wanted to read it, EINVAL that it knows no filters."""
    library.prctl(_PR_SET_SECCOMP, _SECCOMP_FILTER, None, 0, 0)
    return ctypes.get_errno() == errno.EFAULT


def _namespaces() -> bool:
    try:
        tried = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _TRY_NAMESPACES], capture_output=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return tried.returncode == 0
