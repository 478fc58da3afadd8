"""Staged rows for Python tasks: what the SDK asks for and the data floor has.

Law: Arrow is loaded by the first task that asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.ports.stream import Stream


class StagedDatasets:
    """See engine.sdk.context.Datasets."""

    def open(self, reference: Mapping[str, Any], staging: Path) -> Stream:
        from engine.dataflow.staging import StagedDataset

        return StagedDataset(reference, staging)

    def stage(self, data: Any, folder: Path, staging: Path) -> Mapping[str, Any]:
        from engine.dataflow.handing import stage

        return stage(data, folder, staging)
