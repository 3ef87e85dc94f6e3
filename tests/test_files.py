"""Outputs appear whole or not at all, for files and for folders."""

import os
from pathlib import Path

import pytest

from care_tf.errors import InputError
from care_tf.files import atomic_path, file_sha256, files_sha256


def test_a_file_appears_whole_in_a_folder_that_did_not_exist(tmp_path):
    target = tmp_path / "new" / "metrics.json"
    with atomic_path(target) as path:
        path.write_text("half")
        assert not target.exists()
        path.write_text("whole")
    assert target.read_text() == "whole"
    assert os.listdir(target.parent) == ["metrics.json"]


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


def test_a_failed_rename_puts_the_old_folder_back(tmp_path, monkeypatch):
    target = tmp_path / "run"
    target.mkdir()
    (target / "kept.txt").touch()
    replace = os.replace

    def fail_for_the_new_one(source, destination):
        if Path(destination) == target and "previous" not in Path(source).name:
            raise OSError("disk full")
        replace(source, destination)

    monkeypatch.setattr(os, "replace", fail_for_the_new_one)
    with pytest.raises(OSError, match="disk full"), atomic_path(target) as path:
        path.mkdir()
    assert os.listdir(target) == ["kept.txt"]
    assert os.listdir(tmp_path) == ["run"]


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


def test_sha256_of_several_files_knows_their_names_contents_and_order(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"abc")
    second.write_bytes(b"abc")
    digests = [files_sha256(paths) for paths in ([], [first], [second], [first, second], [second, first])]
    second.write_bytes(b"abd")
    assert len({*digests, files_sha256([first, second])}) == 6
    assert digests[0] == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
