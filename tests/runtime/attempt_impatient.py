"""A runner whose zygote gives its spares up at once; the zygote imports it and is changed by that alone."""

from __future__ import annotations

from engine.executors import spares
from tests.runtime.attempt_runner import run

__all__ = ["run"]

spares.GIVE_UP_AFTER = 0.2
