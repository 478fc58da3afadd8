"""An index of attempts that failed or were lost, by when they ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

FAILED = sa.text("state IN ('FAILED', 'LOST')")


def upgrade() -> None:
    op.create_index(
        "attempts_failed",
        "attempts",
        ["completed_at", "token"],
        sqlite_where=FAILED,
        postgresql_where=FAILED,
    )
