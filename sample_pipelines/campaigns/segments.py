"""Customer segments out of a file."""

import csv
from pathlib import Path

from engine.sdk import ConfigurationError, Context, DataQualityError

NEEDED = {"customer_id", "name", "segment", "email", "phone", "push_token"}


def load_customer_segment_csv(ctx: Context, csv_path):
    """The records as JSON; a file that is missing or is no such file stops the campaign before anybody is told."""
    place = Path(ctx.connection("local_customer_segment_filesystem").config["path"]).resolve()
    file = (place / csv_path.lstrip("/")).resolve()
    if not file.is_relative_to(place) or not file.is_file():
        raise ConfigurationError(f"There is no file {csv_path} below {place}; say which with -p csv_path=...")
    with file.open(encoding="utf-8", newline="") as lines:
        records = list(csv.DictReader(lines))
    missing = NEEDED - set(records[0] if records else ())
    if missing:
        raise DataQualityError(f"{csv_path} has no {', '.join(sorted(missing))}; is it a customer segment?")
    ctx.log.info("%s customers in %s.", len(records), csv_path)
    ctx.metric("rows", len(records))
    return {"customer_segment_records": records}
