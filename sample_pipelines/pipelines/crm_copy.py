"""A pipeline written in Python: the same shape as the YAML files, made in a loop. This file is run when it is read;
what the tasks do is elsewhere (loads/crm.py).
"""

from engine.sdk import pipeline, task

TABLES = {"customers": 3, "contacts": 2, "offers": 3}  # and how many rows there have to be at least


@pipeline(
    id="crm_copy",
    name="CRM, copy",
    description="Tables of the customer system, one chain of tasks for each",
    tags=["sales"],
    schedule={"cron": "0 1 * * *", "timezone": "Europe/Berlin", "catchup": False},
)
def crm_copy():
    checks = []
    for table, least in TABLES.items():
        copy = task(
            f"copy_{table}",
            "python",
            inputs=[f"crm.{table}"],
            outputs=[f"warehouse.crm_{table}"],
            callable="loads.crm:copy",
            args={"table": table},
        )
        check = task(
            f"check_{table}",
            "python",
            dependencies=[copy],
            callable="loads.crm:check",
            args={"rows": f"{{{{ upstream.copy_{table}.rows }}}}", "least": least},
        )
        yield from (copy, check)
        checks.append(check)
    yield task(
        "tell_sales",
        "notify",
        dependencies=checks,
        connection="ops",
        message=f"{len(TABLES)} tables copied on {{{{ ds }}}}",
    )
