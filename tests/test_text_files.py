"""Texts and tables are read from files alone: a pipe would be waited for, a device read, without end."""

import os
import subprocess

import pytest

from care_tf.csv_files import table_rows
from care_tf.data import read_manifest
from care_tf.errors import InputError
from care_tf.file_in_memory import open_file
from care_tf.model_file import load_network
from care_tf.runs.reproduced_summary import read_comparison
from care_tf.text_files import read_bytes, read_json, read_text

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name")


def table_of_labels(path):
    return table_rows(path, ("image", "label"))


@pytest.mark.parametrize(
    "read",
    [open_file, read_bytes, read_text, read_json, table_of_labels, read_manifest, read_comparison, load_network],
)
def test_a_pipe_or_a_device_is_refused_and_not_read(tmp_path, read):
    os.mkfifo(tmp_path / "a.csv")
    for path in (tmp_path / "a.csv", os.devnull):
        with pytest.raises(InputError, match=f"{path} must be a file. Received a pipe or a device. Copy what it gives"):
            read(path)


def test_what_a_shell_puts_in_place_of_a_command_is_refused():
    with subprocess.Popen(["echo", "image,label"], stdout=subprocess.PIPE) as process:
        path = f"/dev/fd/{process.stdout.fileno()}"
        with pytest.raises(InputError, match=f"{path} must be a file. Received a pipe"):
            read_manifest(path)


def test_a_file_is_read_through_a_descriptor(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    with open(tmp_path / "a.txt") as file:
        assert read_text(f"/dev/fd/{file.fileno()}") == "a"


@pytest.mark.parametrize(("path", "message"), [("none", "There is no file none"), ("a\0b", "cannot be read: embedded")])
def test_what_is_no_file_is_told(path, message):
    with pytest.raises(InputError, match=message):
        read_bytes(path)
