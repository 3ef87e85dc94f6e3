"""Outputs appear whole or not at all, for files and for folders."""

import contextlib
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from care_tf.errors import InputError
from care_tf.files import (
    atomic_path,
    file_sha256,
    files_sha256,
    files_together,
    path_sha256,
    remove_left_overs,
    write_json,
    write_text,
)


def test_a_file_appears_whole_in_a_folder_that_did_not_exist(tmp_path):
    target = tmp_path / "new" / "metrics.json"
    with atomic_path(target) as path:
        path.write_text("half")
        assert not target.exists()
        path.write_text("whole")
    assert target.read_text() == "whole"
    assert os.listdir(target.parent) == ["metrics.json"]


def test_text_and_json_are_utf_8(tmp_path):
    write_json(tmp_path / "names.json", {"name": "Spießer"}, durable=True, indent=1, ensure_ascii=False)
    write_text(tmp_path / "names.txt", "Spießer")
    assert (tmp_path / "names.json").read_bytes() == '{\n "name": "Spießer"\n}\n'.encode()
    assert (tmp_path / "names.txt").read_bytes() == "Spießer".encode()


def test_a_file_is_replaced(tmp_path):
    target = tmp_path / "metrics.json"
    target.write_text("old")
    with atomic_path(target) as path:
        path.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert os.listdir(tmp_path) == ["metrics.json"]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    target = tmp_path / "run"
    target.mkdir()
    (target / "stale.txt").touch()
    with atomic_path(target) as path:
        path.mkdir()
        (path / "fresh.txt").touch()
        assert os.listdir(target) == ["stale.txt"]
    assert os.listdir(target) == ["fresh.txt"]
    assert os.listdir(tmp_path) == ["run"]


def test_a_file_never_replaces_a_folder_nor_a_folder_a_file(tmp_path):
    target = tmp_path / "run"
    target.mkdir()
    kept = target / "kept.txt"
    kept.touch()
    with pytest.raises(InputError, match="must be a file. Received the folder .*run"), atomic_path(target) as path:
        path.touch()
    with pytest.raises(InputError, match="must be a folder. Received the file .*kept.txt"), atomic_path(kept) as path:
        path.mkdir()
    assert os.listdir(target) == ["kept.txt"] and kept.is_file() and os.listdir(tmp_path) == ["run"]


def test_temporary_name_keeps_the_suffix_and_stays_beside_the_target(tmp_path):
    with atomic_path(str(tmp_path / "model.keras")) as path:
        assert path.suffix == ".keras"
        assert path.parent == tmp_path
        path.touch()


@pytest.mark.parametrize("is_folder", [False, True])
def test_an_exception_leaves_what_was_there(tmp_path, is_folder):
    target = tmp_path / "output"
    target.mkdir() if is_folder else target.write_text("old")
    with pytest.raises(RuntimeError, match="half way"), atomic_path(target) as path:
        if is_folder:
            path.mkdir()
            (path / "half.txt").touch()
        else:
            path.write_text("half")
        raise RuntimeError("half way")
    assert os.listdir(tmp_path) == ["output"]
    assert os.listdir(target) == [] if is_folder else target.read_text() == "old"


def test_a_folder_is_there_at_every_moment_of_being_replaced(tmp_path, monkeypatch):
    target = tmp_path / "run"
    target.mkdir()
    (target / "old").touch()
    monkeypatch.setattr(os, "replace", lambda source, destination: pytest.fail("two steps"))
    with atomic_path(target) as path:
        path.mkdir()
        (path / "new").touch()
    assert os.listdir(target) == ["new"] and os.listdir(tmp_path) == ["run"]


@pytest.mark.parametrize("failure", [None, OSError("lost"), KeyboardInterrupt()])
def test_a_folder_is_replaced_or_put_back_where_the_file_system_cannot_exchange(tmp_path, monkeypatch, failure):
    target = tmp_path / "run"
    target.mkdir()
    (target / "old").touch()
    replace = os.replace

    def fail_for_the_new_one(source, destination):
        if failure is not None and Path(destination) == target and "previous" not in Path(source).name:
            raise failure
        replace(source, destination)

    monkeypatch.setattr(os, "replace", fail_for_the_new_one)
    monkeypatch.setattr("care_tf.files.ctypes.CDLL", lambda name, use_errno: object())
    expected = contextlib.nullcontext() if failure is None else pytest.raises(type(failure))
    with expected, atomic_path(target) as path:
        path.mkdir()
        (path / "new").touch()
    assert os.listdir(target) == ["new" if failure is None else "old"]
    assert os.listdir(tmp_path) == ["run"]


@pytest.mark.parametrize("is_folder", [False, True])
def test_durable_files_are_on_the_disk_before_their_name_and_their_name_before_the_end(
    tmp_path, monkeypatch, is_folder
):
    events, replace, sync = [], os.replace, os.fsync

    def noted_sync(descriptor):
        events.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(os, "replace", lambda *paths: (events.append("rename"), replace(*paths)))
    with atomic_path(tmp_path / "weights", durable=True) as path:
        if is_folder:
            path.mkdir()
        (path / "inner" if is_folder else path).write_text("content")
    inside = ["inner"] if is_folder else []
    assert events == [*inside, path.name, "rename", tmp_path.name]
    with atomic_path(tmp_path / "new" / "deep" / "weights", durable=True) as deep:
        deep.write_text("content")
    assert sorted(events[len(inside) + 3 :]) == sorted([deep.name, "rename", "deep", "new", tmp_path.name])
    del events[len(inside) + 3 :]
    with atomic_path(tmp_path / "figure.png") as path:
        path.write_text("content")
    assert len(events) == len(inside) + 4  # one more rename, and no wait for the disk


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        RuntimeError("RESOURCE_EXHAUSTED: weights.tmp; No space left on device"),  # as TensorFlow and HDF5 say it
    ],
)
def test_a_full_disk_is_one_line_and_leaves_what_was_there(tmp_path, error):
    target = tmp_path / "metrics.json"
    target.write_text("old")
    message = r"metrics.json cannot be written: No space left.*make room"
    with pytest.raises(InputError, match=message), atomic_path(target) as path:
        path.write_text("half")
        raise error
    assert target.read_text() == "old" and os.listdir(tmp_path) == ["metrics.json"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("a\0b/c", "no file can be called so"), ("/", "no file can be called so"), ("x" * 300, "name is too long")],
)
def test_names_that_cannot_be_are_refused(tmp_path, name, reason):
    with pytest.raises(InputError, match=f"cannot be written: .*{reason}"), atomic_path(tmp_path / name):
        pass


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path):
    kept = [".hidden", ".git", ".run.progress.jsonl", "run", ".a.1234567.csv"]
    for name in kept:
        (tmp_path / name).touch()
    (tmp_path / ".model.keras.0123abcd.keras").touch()
    (tmp_path / ".last.89abcdef").mkdir()
    (tmp_path / ".last.89abcdef" / "progress.json").touch()
    (tmp_path / ".last.01234567.previous").mkdir()  # its new one came: "run" below is the other case
    (tmp_path / "last").mkdir()
    (tmp_path / ".run_2.01234567.previous").mkdir()
    (tmp_path / ".run_2.01234567.previous" / "only.txt").touch()
    before = set(os.listdir(tmp_path))
    remove_left_overs(tmp_path)
    assert set(os.listdir(tmp_path)) == before  # a living process may be writing them
    remove_left_overs(tmp_path, is_sole=True)
    assert set(os.listdir(tmp_path)) == {*kept, "last", "run_2"}
    assert os.listdir(tmp_path / "run_2") == ["only.txt"]


KILLED = """
import os, signal, sys
from care_tf.files import atomic_path

contexts = [atomic_path(target) for target in sys.argv[2:]]
for context in contexts:
    path = context.__enter__()
    if sys.argv[1] == "folder":
        path.mkdir()
        path = path / "half"
    path.touch()
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed_while_writing(kind, *targets):
    subprocess.run([sys.executable, "-c", KILLED, kind, *map(str, targets)])


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_process_left_is_removed_by_the_next_that_writes_the_same(tmp_path, kind):
    target = tmp_path / "weights.h5"
    killed_while_writing(kind, target, tmp_path / "other", tmp_path / "third")
    assert sorted(os.listdir(tmp_path)) == [
        *(".other.writing", ".other.written", ".third.writing", ".third.written"),
        *(".weights.h5.writing", ".weights.h5.written.h5"),
    ]
    with atomic_path(target) as path:
        assert not path.exists()
        path.touch()
        assert (tmp_path / ".other.written").exists()
        remove_left_overs(tmp_path)
        assert path.exists() and not (tmp_path / ".other.written").exists()
    assert os.listdir(tmp_path) == ["weights.h5"]


def test_a_folder_moved_aside_by_a_killed_process_is_put_back(tmp_path):
    killed_while_writing("folder", tmp_path / "run")
    (tmp_path / ".run.written.previous").mkdir()
    (tmp_path / ".run.written.previous" / "only.txt").touch()
    remove_left_overs(tmp_path)
    assert os.listdir(tmp_path) == ["run"] and os.listdir(tmp_path / "run") == ["only.txt"]


@pytest.mark.parametrize("has_locks", [True, False])
def test_two_at_once_write_the_same_target_under_names_of_their_own(tmp_path, monkeypatch, has_locks):
    if not has_locks:
        monkeypatch.setattr("care_tf.files.try_lock", lambda path: None)
    with atomic_path(tmp_path / "a.csv") as first:
        with atomic_path(tmp_path / "a.csv") as second:
            first.write_text("first")
            second.write_text("second")
        assert (tmp_path / "a.csv").read_text() == "second"
    assert (tmp_path / "a.csv").read_text() == "first" and os.listdir(tmp_path) == ["a.csv"]


def write_three(folder, text, names=("b.csv", "c.html", "mark.json"), interrupted=None):
    with files_together(folder, "mark.json") as temporary:
        for name in names:
            (temporary / name).write_text(text)
            if name == interrupted:
                raise KeyboardInterrupt


def texts(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if not path.name.startswith(".")}


def test_files_that_belong_together_are_never_side_by_side_with_older_ones(tmp_path, monkeypatch):
    folder, moments = tmp_path / "new", []
    write_three(folder, "old")
    (folder / "other.txt").write_text("other")

    def watched(change):
        def changing(path, *arguments, **options):
            change(path, *arguments, **options)
            moments.append(texts(folder))

        return changing

    with monkeypatch.context() as patch:
        patch.setattr("care_tf.files.os.replace", watched(os.replace))
        patch.setattr(Path, "unlink", watched(Path.unlink))
        write_three(folder, "new")
    assert len(moments) >= 6
    for found in moments:
        assert found.pop("other.txt") == "other"
        assert len(set(found.values())) <= 1 and ("mark.json" not in found or len(found) == 3)
    assert texts(folder) == dict.fromkeys(("b.csv", "c.html", "mark.json"), "new") | {"other.txt": "other"}
    assert not [name for name in os.listdir(folder) if name.startswith(".")]


@pytest.mark.parametrize("interrupted", ["b.csv", "mark.json"])
def test_files_that_belong_together_stay_until_all_new_ones_are_written(tmp_path, interrupted):
    write_three(tmp_path, "old")
    with pytest.raises(KeyboardInterrupt):
        write_three(tmp_path, "new", interrupted=interrupted)
    with pytest.raises(FileNotFoundError, match=r"nothing was written for .*mark\.json"):
        write_three(tmp_path, "new", names=["b.csv"])
    (tmp_path / "d").mkdir()
    with pytest.raises(InputError, match="The output must be a file. Received the folder"):
        write_three(tmp_path, "new", names=["d", "mark.json"])
    (tmp_path / "d").rmdir()
    assert sorted(os.listdir(tmp_path)) == ["b.csv", "c.html", "mark.json"] and set(texts(tmp_path).values()) == {"old"}


def test_where_the_disk_fails_in_the_switch_the_mark_is_not_there(tmp_path, monkeypatch):
    write_three(tmp_path, "old")
    replace, moved = os.replace, []

    def failing(path, target):
        if moved:
            raise OSError("lost")
        moved.append(Path(target).name)
        replace(path, target)

    monkeypatch.setattr("care_tf.files.os.replace", failing)
    with pytest.raises(OSError, match="lost"):
        write_three(tmp_path, "new")
    assert texts(tmp_path) == {moved[0]: "new"} and moved != ["mark.json"]


def test_what_a_process_left_that_was_killed_while_it_wrote_several_files_is_removed(tmp_path):
    killed_while_writing("folder", tmp_path / "mark.json")
    assert (tmp_path / ".mark.json.written.json" / "half").exists()
    write_three(tmp_path, "new")
    assert sorted(os.listdir(tmp_path)) == ["b.csv", "c.html", "mark.json"]


def test_writing_nothing_is_an_error(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match=r"nothing was written for .*report\.html"),
        atomic_path(tmp_path / "report.html"),
    ):
        pass


def test_a_folder_without_permission_is_refused(tmp_path, monkeypatch):
    # The tests may run as root, to whom every folder is open.
    monkeypatch.setattr("care_tf.files.os.access", lambda path, mode: False)
    with (
        pytest.raises(InputError, match="manifest.csv cannot be written: no permission in"),
        atomic_path(tmp_path / "manifest.csv"),
    ):
        pass


def test_sha256_is_of_the_content(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert file_sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(InputError, match="There is no file .*none"):
        file_sha256(tmp_path / "none")


def test_sha256_of_a_path_is_the_files_or_that_of_all_files_below_the_folder(tmp_path):
    (tmp_path / "preset" / "assets").mkdir(parents=True)
    files = [tmp_path / "preset" / "assets" / "words.txt", tmp_path / "preset" / "config.json"]
    for file in files:
        file.write_text(file.name)
    assert path_sha256(files[0]) == file_sha256(files[0])
    before = path_sha256(tmp_path / "preset")
    assert before == files_sha256(files)
    files[0].write_text("other words")
    assert path_sha256(tmp_path / "preset") != before


def test_sha256_of_several_files_knows_their_names_contents_and_order(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"abc")
    second.write_bytes(b"abc")
    digests = [files_sha256(paths) for paths in ([], [first], [second], [first, second], [second, first])]
    second.write_bytes(b"abd")
    assert len({*digests, files_sha256([first, second])}) == 6
    assert digests[0] == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
