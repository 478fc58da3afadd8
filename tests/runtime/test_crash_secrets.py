"""Canaries: a secret that a task uses, prints, logs, returns and fails with is found nowhere else (FAULTS 42)."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from tests.runtime.crash_engine import DONE_WITHIN, descendants, eventually, stage
from tests.runtime.crash_workspace import MIXTURE, make, task, write

CANARIES = ("canary-env-7f3a91", "canary-file-52b0c8", "canary-dotenv-e61d07")
SPILL = """
import logging, os, sys, time

def spill(ctx):
    secrets = [ctx.connection(name).config["token"] for name in ("by_env", "by_file", "by_dotenv")]
    with open("used", "w") as out:
        out.write(str([len(secret) for secret in secrets]))
    text = " ".join(secrets)
    print(text, flush=True)
    print(text, file=sys.stderr, flush=True)
    logging.getLogger("spill").warning("it is %s", text)
    ctx.log.error(text)
    ctx.output("leak", text)
    ctx.checkpoint.save({"leak": text})
    ctx.progress(1, 2, unit=secrets[0])
    while not os.path.exists("go"):
        time.sleep(0.02)
    raise RuntimeError("it failed with " + text)
"""
CONNECTIONS = """by_env: {type: rest, url: 'http://127.0.0.1:9', token: '${env:CANARY}'}
by_file: {type: rest, url: 'http://127.0.0.1:9', token: '${file:canary.txt}'}
by_dotenv: {type: rest, url: 'http://127.0.0.1:9', token: '${env:DOT_CANARY}'}
"""
HOOK = "on: {failure: [{notify: {url: 'log:', message: '{{ error.message }}'}}]}\n"


@pytest.mark.parametrize("killed", [False, True], ids=["to its end", "killed in between"])
def test_a_secret_is_in_no_log_store_command_line_environment_or_trail(tmp_path: Path, killed: bool) -> None:
    """Invariant F."""
    env, file, dotenv = CANARIES
    made = make(tmp_path / "ws", slots=0)
    (made.root / "spill.py").write_text(SPILL)
    (made.root / "connections.yaml").write_text(CONNECTIONS)
    secret_files = {made.root / "canary.txt": file + "\n", made.root / ".env": f"DOT_CANARY={dotenv}\n"}
    for path, text in secret_files.items():
        path.write_text(text)
        path.chmod(0o600)
    once = task("spill", more=", retry_policy: {max_attempts: 1}").replace("tasks:work", "spill:spill")
    write(made.root, "spilling", f"{HOOK}tasks:\n{once}")
    with stage(made) as one:
        engine = one.engine(CANARY=env).leads()
        (run_id, *_) = one.trigger("spilling", *MIXTURE)
        used, lengths = one.root / "used", str([len(each) for each in CANARIES])
        eventually(lambda: used.exists() and used.read_text() == lengths, DONE_WITHIN, "the task has its secrets")
        below = descendants(engine.pid)
        assert len(below) >= 2
        for pid in below:
            clean(Path(f"/proc/{pid}/cmdline"))
            clean(Path(f"/proc/{pid}/environ"))
        clean(Path(f"/proc/{engine.pid}/cmdline"))
        found_in_none(one.root, but=set(secret_files))
        if killed:
            engine.kill()
            found_in_none(one.root, but=set(secret_files))
            engine = one.engine(CANARY=env).leads()
        (one.root / "go").touch()
        one.wait_until_done(engine)
        run = one.workspace.client.show(run_id, history=True)
        (row,) = run["tasks"]
        assert (row["state"], row["error"]["type"]) == ("FAILED", "RuntimeError")
        assert "it failed with" in row["error"]["message"]
        found_in_none(one.root, but=set(secret_files))
        assert engine.terminate() == 0
        found_in_none(one.root, but=set(secret_files))
        assert "failed" in engine.words  # the hook was sent, and is looked at with the other files


def found_in_none(root: Path, but: set[Path]) -> None:
    """Every file of the workspace, the engine's own words and the databases with their logs among them."""
    looked = [path for path in root.rglob("*") if path.is_file() and path not in but]
    assert {"state.db", "mailbox.db"} <= {path.name for path in looked}
    for path in looked:
        clean(path)


def clean(path: Path) -> None:
    try:
        data = path.read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError) as error:
        if str(path).startswith("/proc") or not os.path.exists(path):
            return  # it ended, or was removed, while it was looked for
        raise AssertionError(str(path)) from error
    for canary in CANARIES:
        for form in (canary.encode(), base64.b64encode(canary.encode())):
            assert form not in data, f"{canary} is in {path}"
