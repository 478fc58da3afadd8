"""Ideas that this version does not carry, each with what to do instead; and words that other tools use for
ours.

Law: such a key, type or value is refused by name, never accepted and ignored (VAL-15).
"""

from __future__ import annotations

from collections.abc import Collection

_STREAMING = (
    "Penstock runs batches, not streams: schedule small batches (cron down to a minute, incremental by watermark), "
    "or run a stream processor such as Kafka Streams or Flink beside it"
)
_LEARNING = (
    "Penstock does not train or serve models: call your library from a 'python' task, "
    "or use MLflow or Kubeflow and start them from a 'shell' task"
)
_VISUAL = "pipelines are written, not drawn: use YAML or Python; the console and 'penstock graph' show the picture"
_DATA = "use a 'python' or 'shell' task that does this step"

_TYPES: dict[str, str] = {
    **dict.fromkeys(
        ("stream", "streaming", "kafka", "kafka_consumer", "kinesis", "flink", "spark_streaming"), _STREAMING
    ),
    **dict.fromkeys(("real_time", "realtime", "cdc_stream", "event_stream"), _STREAMING),
    **dict.fromkeys(
        ("ml", "train", "training", "model", "ml_training", "model_training", "predict", "inference"), _LEARNING
    ),
    **dict.fromkeys(("ml_model", "automl", "feature_store"), _LEARNING),
    **dict.fromkeys(("visual", "visual_flow", "canvas", "drag_drop", "drag_and_drop", "gui", "designer"), _VISUAL),
    **dict.fromkeys(("transform", "validate"), _DATA),
    **dict.fromkeys(("sql_transform", "python_udf"), _DATA),
    **dict.fromkeys(
        ("docker", "container", "kubernetes", "k8s", "pod"), "use a 'shell' task that runs docker or kubectl"
    ),
    **dict.fromkeys(("spark", "dask"), "use a 'shell' task that submits the job"),
}

_KEYS: dict[tuple[str, str], str] = {
    ("top", "triggers"): "use 'schedule' with a cron expression, or begin with a 'sensor' task that waits",
    ("top", "streaming"): _STREAMING,
    ("top", "stream"): _STREAMING,
    ("top", "model"): _LEARNING,
    ("top", "layout"): _VISUAL,
    ("top", "canvas"): _VISUAL,
    ("top", "connections"): "write connections into connections.yaml and name them in the tasks' config",
    ("top", "datasets"): "name datasets in the tasks' 'inputs' and 'outputs'",
    ("schedule", "batch_window"): "tasks read {{ data_interval_start }} and {{ data_interval_end }} instead",
    ("schedule", "partitioning"): "tasks read {{ data_interval_start }} and {{ data_interval_end }} instead",
    ("schedule", "triggers"): "use 'cron', or begin with a 'sensor' task that waits",
    ("task", "image"): "use a 'shell' task that runs docker",
    ("task", "executor"): "the task's 'type' says how it runs: shell or python",
    ("task", "position"): _VISUAL,
}

_WORDS: dict[str, str] = {
    "depends_on": "dependencies",
    "depends": "dependencies",
    "needs": "dependencies",
    "upstream": "dependencies",
    "requires": "dependencies",
    "timeout": "timeout_seconds",
    "execution_timeout": "timeout_seconds",
    "params": "parameters",
    "inputs_from": "dependencies",
    "retry": "retry_policy",
    "task_type": "type",
    "kind": "type",
    "condition": "when",
    "if": "when",
    "for_each": "foreach",
    "map": "foreach",
    "with_items": "foreach",
    "tz": "timezone",
    "overlap_policy": "policy",
    "cmd": "command",
    "script": "command",
    "bash_command": "command",
    "function": "callable",
    "python_callable": "callable",
    "op_kwargs": "args",
    "kwargs": "args",
    "environment": "env",
    "conn_id": "connection",
    "steps": "tasks",
    "on_failure": "on",
    "memory": "memory_mb",
    "cpus": "cpu",
}

_SYNONYM_TYPES = {
    **dict.fromkeys(("bash", "sh", "shell_command", "command"), "shell"),
    "py": "python",
    **dict.fromkeys(("api_extract", "database_extract", "file_extract", "source"), "extract"),
    **dict.fromkeys(("file_load", "database_load", "sink", "destination"), "load"),
}


def refusal(place: str, key: str) -> str | None:
    """What to do instead of a key that this version does not carry. `place`: top, task, schedule, config ..."""
    return _KEYS.get((place, key))


def other_word(place: str, key: str) -> str | None:
    """Our word for a key that other tools use."""
    return _WORDS.get(key) if place != "top" or key != "upstream" else None


def type_refusal(name: str) -> str | None:
    """What to do instead of a task type that this version does not carry."""
    return _TYPES.get(name.lower().replace("-", "_"))


def other_type(name: str, known: Collection[str]) -> str | None:
    """Our name for a task type that other tools use."""
    meant = _SYNONYM_TYPES.get(name.lower())
    return meant if meant in known else None
