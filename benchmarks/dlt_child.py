"""One load by dlt, over its Arrow path: what `benchmarks.data_dlt` runs with the Python that has dlt.

Law: nothing of Penstock is imported. Prints rows, seconds and peak as JSON; dlt's own start is not counted.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import import_module
from typing import Any

BLOCK = 8 << 20
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ.setdefault(
    "DESTINATION__POSTGRES__CREDENTIALS__PASSWORD", "none"
)  # it wants one where none is asked for


def main(kind: str, file: str, target: str) -> None:
    """`kind`: duckdb, with a file, or postgres, with an address."""
    dlt: Any = import_module("dlt")
    arrow: Any = import_module("pyarrow")
    csv: Any = import_module("pyarrow.csv")

    def customers() -> Iterator[Any]:
        types = {"amount": arrow.decimal128(12, 2)}
        reader = csv.open_csv(
            file,
            read_options=csv.ReadOptions(block_size=BLOCK),
            convert_options=csv.ConvertOptions(column_types=types),
        )
        for batch in reader:
            yield arrow.Table.from_batches([batch])

    with tempfile.TemporaryDirectory() as folder:
        destination = getattr(dlt.destinations, kind)(target)
        pipeline = dlt.pipeline("bench", destination=destination, dataset_name="dlt_bench", pipelines_dir=folder)
        resource_ = dlt.resource(customers, name="customers", write_disposition="append")
        began = time.perf_counter()
        pipeline.run(resource_())
        seconds = time.perf_counter() - began
        rows = pipeline.last_trace.last_normalize_info.row_counts["customers"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"rows": rows, "seconds": seconds, "peak_mb": peak}))


if __name__ == "__main__":
    main(*sys.argv[1:4])
