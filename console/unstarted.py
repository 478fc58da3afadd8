"""Work for a worker, as a function instead of its coroutine.

Law: a worker that is cancelled before it starts leaves a coroutine unawaited, which Python complains of when it is
collected; a function it just drops. Textual takes an async method or a partial of one (no lambda), but its types
cannot be inferred for them.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any


def unstarted(work: Callable[[], Coroutine[Any, Any, None]]) -> Any:
    """For `run_worker`."""
    return work
