"""The catalog: caching, last good versions, duplicates, hostile files."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from engine.definitions import catalog as module
from engine.definitions.read import MAX_BYTES
from engine.model.errors import NotFound, ValidationFailed
from tests.definitions.fakes import Workspace


def test_pipelines_are_found_in_folders_and_listed_sorted(workspace: Workspace):
    workspace.pipeline("b")
    workspace.pipeline("a", file="pipelines/sales/deep/a.yml")
    workspace.write("pipelines/.hidden.yaml", "][")
    workspace.write("pipelines/notes.txt", "][")
    catalog = workspace.catalog()
    assert catalog.ids() == ["a", "b"]
    assert catalog.get("a").file == "pipelines/sales/deep/a.yml"


def test_a_missing_pipeline_gets_its_near_spelling(workspace: Workspace):
    workspace.pipeline("orders_daily")
    with pytest.raises(NotFound, match="did you mean 'orders_daily'"):
        workspace.catalog().get("orders_dialy")


def test_one_that_never_was_good_names_its_problems(workspace: Workspace):
    workspace.write("pipelines/x.yaml", "id: x\ntasks: [{id: a, type: shel}]\n")
    with pytest.raises(ValidationFailed, match="did you mean 'shell'"):
        workspace.catalog().get("x")


@pytest.mark.parametrize("broken", ["id: x\ntasks: [{id: a, type: shel}]\n", "id: x\ntasks: [", "", "id: y z\n"])
def test_a_definition_that_breaks_keeps_its_last_good_version_and_is_reported(workspace: Workspace, broken):
    """DEF-07."""
    path = workspace.pipeline("x", command="first")
    catalog = workspace.catalog()
    good = catalog.get("x")
    path.write_text(broken)
    reports = catalog.refresh([path])
    assert any(report.errors for report in reports)
    if broken.startswith("id: x") or broken == "id: x\ntasks: [":
        assert catalog.get("x") == good
        assert list(catalog.ids()) == ["x"]
    workspace.pipeline("x", command="second")
    assert not any(report.errors for report in catalog.refresh([path]))
    assert catalog.get("x").tasks[0].config == {"command": "second"}


def test_a_pipeline_whose_file_is_gone_is_gone(workspace: Workspace):
    path = workspace.pipeline("x")
    catalog = workspace.catalog()
    assert catalog.ids() == ["x"]
    path.unlink()
    catalog.refresh([path])
    assert catalog.ids() == []
    with pytest.raises(NotFound):
        catalog.get("x")


def test_a_pipeline_that_moves_stays(workspace: Workspace):
    path = workspace.pipeline("x")
    catalog = workspace.catalog()
    before = catalog.get("x").hash
    path.rename(workspace.root / "pipelines/y.yaml")
    catalog.refresh()
    assert catalog.get("x").hash == before
    assert catalog.get("x").file == "pipelines/y.yaml"


def test_a_renamed_pipeline_leaves_its_old_id(workspace: Workspace):
    path = workspace.pipeline("x")
    catalog = workspace.catalog()
    catalog.refresh()
    path.write_text(path.read_text().replace("id: x", "id: z"))
    catalog.refresh()
    assert catalog.ids() == ["z"]


def test_an_id_used_twice_is_an_error_in_both_files_and_the_last_good_stays(workspace: Workspace):
    """DEF-04."""
    workspace.pipeline("x", command="first")
    catalog = workspace.catalog()
    good = catalog.get("x")
    second = workspace.pipeline("x", command="other", file="pipelines/copy.yaml")
    reports = catalog.refresh()
    assert [report.file for report in reports if report.errors] == ["pipelines/copy.yaml", "pipelines/x.yaml"]
    assert "pipelines/x.yaml" in reports[0].errors[0].message
    assert catalog.get("x") == good
    second.unlink()
    assert not any(report.errors for report in catalog.refresh())


def test_unchanged_files_are_neither_read_nor_checked(workspace: Workspace, monkeypatch):
    for number in range(20):
        workspace.pipeline(f"p{number}")
    catalog = workspace.catalog()
    catalog.refresh()

    def refuse(*_args: object, **_more: object) -> None:
        raise AssertionError("a file that has not changed is only looked at")

    monkeypatch.setattr(module, "read_inside", refuse)
    monkeypatch.setattr(module, "check_pipeline", refuse)
    assert len(catalog.refresh()) == 20


def test_a_touched_file_with_the_same_bytes_is_not_checked_again(workspace: Workspace, monkeypatch):
    path = workspace.pipeline("x")
    catalog = workspace.catalog()
    catalog.refresh()
    os.utime(path, ns=(1, 1))

    def refuse(*_args: object, **_more: object) -> None:
        raise AssertionError("the same bytes")

    monkeypatch.setattr(module, "check_pipeline", refuse)
    catalog.refresh()


def test_a_problem_outside_the_file_is_noticed_when_it_is_mended(workspace: Workspace):
    workspace.write("pipelines/x.yaml", "id: x\ntasks: [{id: a, type: shell, config: {script: job.sh}}]\n")
    catalog = workspace.catalog()
    assert catalog.refresh()[0].errors[0].path == "tasks[0].config.script"
    workspace.write("job.sh", "true\n")
    assert not catalog.refresh()[0].errors


def test_a_change_of_the_connections_checks_every_pipeline_again(workspace: Workspace):
    workspace.write("connections.yaml", "ops: {type: slack}\n")
    workspace.write("pipelines/x.yaml", "id: x\ntasks: [{id: a, type: notify, config: {connection: ops}}]\n")
    catalog = workspace.catalog()
    assert list(catalog.ids()) == ["x"]
    path = workspace.write("connections.yaml", "opsy: {type: slack}\n")
    assert any(
        "did you mean 'opsy'" in problem.message for report in catalog.refresh([path]) for problem in report.errors
    )


def test_a_link_that_leaves_the_workspace_is_refused(workspace: Workspace, tmp_path: Path):
    """FAULTS 39."""
    outside = tmp_path / "outside.yaml"
    outside.write_text("id: out\ntasks: [{id: a, type: shell}]\n")
    (workspace.root / "pipelines/link.yaml").symlink_to(outside)
    (workspace.root / "pipelines/folder").symlink_to(tmp_path)
    (workspace.root / "pipelines/dangling.yaml").symlink_to("nowhere")
    workspace.pipeline("inside", file="shared/inside.yaml")
    (workspace.root / "pipelines/inner.yaml").symlink_to(workspace.root / "shared/inside.yaml")
    catalog = workspace.catalog()
    reports = {report.file: report for report in catalog.refresh()}
    assert "leaves the workspace" in reports["pipelines/link.yaml"].errors[0].message
    assert reports["pipelines/dangling.yaml"].errors
    assert catalog.ids() == ["inside"]


def test_what_is_no_regular_file_is_never_waited_for(workspace: Workspace):
    os.mkfifo(workspace.root / "pipelines/pipe.yaml")
    (report,) = workspace.catalog().refresh()
    assert "not a regular file" in report.errors[0].message


def test_hostile_file_names_are_spelled_out(workspace: Workspace):
    """FAULTS 40."""
    folder = os.fsencode(workspace.root / "pipelines")
    names = [b"\x1b]0;x\x07.yaml", b"new\nline.yaml", b"-rf.yaml", "\u202egnp.yaml".encode(), b"\xff\xfe.yaml"]
    for number, name in enumerate(names):
        with open(os.path.join(folder, name), "wb") as stream:
            stream.write(b"id: p%d\ntasks: [{id: a, type: shell}]\n" % number)
    catalog = workspace.catalog()
    reports = catalog.refresh()
    assert len(reports) == 5
    for report in reports:
        assert report.file.isprintable()
        report.file.encode("utf-8")
    assert catalog.ids() == ["p0", "p1", "p2", "p3", "p4"]


def test_a_file_too_large_is_refused(workspace: Workspace):
    workspace.write("pipelines/big.yaml", "a" * (MAX_BYTES + 1))
    (report,) = workspace.catalog().refresh()
    assert "larger than 1 MiB" in report.errors[0].message


def test_a_bomb_is_one_report_and_harms_no_neighbour(workspace: Workspace):
    """FAULTS 36."""
    workspace.pipeline("good")
    workspace.write("pipelines/bomb.yaml", "[" * 60_000)
    catalog = workspace.catalog()
    reports = {report.file: report for report in catalog.refresh()}
    assert "deeper than 64" in reports["pipelines/bomb.yaml"].errors[0].message
    assert catalog.ids() == ["good"]


def test_paths_of_folders_concern_what_is_below_and_what_was(workspace: Workspace):
    workspace.pipeline("a", file="pipelines/one/a.yaml")
    workspace.pipeline("b", file="pipelines/two/b.yaml")
    catalog = workspace.catalog()
    catalog.refresh()
    (workspace.root / "pipelines/one/a.yaml").unlink()
    workspace.pipeline("c", file="pipelines/one/c.yaml")
    reports = catalog.refresh([workspace.root / "pipelines/one"])
    assert [report.id for report in reports] == ["c"]
    assert catalog.ids() == ["b", "c"]


def test_a_sub_pipeline_that_is_nowhere_is_a_warning_until_it_is_there(workspace: Workspace):
    workspace.write(
        "pipelines/caller.yaml", "id: caller\ntasks: [{id: a, type: pipeline, config: {pipeline: ordrs}}]\n"
    )
    workspace.pipeline("orders")
    catalog = workspace.catalog()
    (warning,) = catalog.refresh()[0].warnings
    assert (warning.path, warning.suggestion) == ("tasks[0].config.pipeline", "orders")
    assert catalog.ids() == ["caller", "orders"]
    workspace.pipeline("ordrs")
    assert not any(report.warnings for report in catalog.refresh())


def test_readers_and_refreshes_may_come_from_any_thread(workspace: Workspace):
    for number in range(10):
        workspace.pipeline(f"p{number}")
    catalog = workspace.catalog()
    failures: list[BaseException] = []

    def read() -> None:
        try:
            for _ in range(50):
                assert catalog.get("p3").id == "p3"
                assert len(catalog.ids()) == 10
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(20):
        workspace.pipeline("p3", command=str(number))
        catalog.refresh()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_stored_document_is_built_without_the_workspace(workspace: Workspace):
    workspace.pipeline("x")
    catalog = workspace.catalog()
    pipeline = catalog.get("x")
    assert catalog.build(pipeline.document, pipeline.file) == pipeline


def test_parameters_are_bound_through_the_port(workspace: Workspace):
    """C-12."""
    workspace.write(
        "pipelines/x.yaml",
        "id: x\nparameters: {a: 1, b: 1}\nschedule: {cron: '@daily', parameters: {a: 2, b: 2}}\n"
        "tasks: [{id: t, type: shell}]\n",
    )
    catalog = workspace.catalog()
    pipeline = catalog.get("x")
    assert catalog.bind_parameters(pipeline, {"a": 3}) == {"a": 3, "b": 1}
    assert catalog.bind_parameters(pipeline, {"a": 3}, schedule=True) == {"a": 3, "b": 2}
