import errno
import fcntl
import json
import os
import signal
import subprocess
import sys

import pytest

from care_tf.errors import InputError
from care_tf.file_lock import open_locked
from care_tf.progress_journal import ProgressJournal, remove_finished

SETTINGS = {"method": "dsr", "box_settings": {"threshold": 0.5, "scale": 1.0}}


@pytest.fixture
def output(tmp_path):
    return tmp_path / "new" / "manifest.csv"


def written(output, *entries, settings=SETTINGS):
    with ProgressJournal(output, settings) as journal:
        for entry in entries:
            journal.append(entry)
    return journal.path


def entries_of(output, settings=SETTINGS):
    with ProgressJournal(output, settings) as journal:
        return journal.entries


def test_entries_come_back_in_order_and_stand_in_a_hidden_file_beside_the_output(output):
    box = [1.0, 0.1, 33.333332061767578, 2.0]
    path = written(output, {"image": "ä.jpg", "boxes": [box]}, {"image": "b.jpg", "boxes": []})
    assert path == output.parent / ".manifest.csv.progress.jsonl"
    assert [file.name for file in output.parent.iterdir()] == [path.name]
    assert entries_of(output) == [{"image": "ä.jpg", "boxes": [box]}, {"image": "b.jpg", "boxes": []}]


def test_entries_are_added_to_those_of_an_earlier_run(output):
    written(output, {"image": "a"})
    written(output, {"image": "b"})
    assert entries_of(output) == [{"image": "a"}, {"image": "b"}]


def test_an_entry_is_on_disk_when_append_returns(output):
    with ProgressJournal(output, SETTINGS) as journal:
        journal.append({"image": "a"})
        assert json.loads(journal.path.read_text().splitlines()[-1]) == {"image": "a"}


@pytest.mark.parametrize("num_bytes", [1, 5, 13])
def test_a_torn_last_line_is_dropped_and_the_next_entry_stands_alone(output, num_bytes):
    path = written(output, {"image": "a"}, {"image": "b"})
    path.write_bytes(path.read_bytes()[:-num_bytes])
    written(output, {"image": "c"})
    assert entries_of(output) == [{"image": "a"}, {"image": "c"}]


def test_a_damaged_line_is_passed_over(output):
    path = written(output, {"image": "a"}, {"image": "b"})
    path.write_bytes(path.read_bytes().replace(b'{"image":"a"}', b"\0\0\0"))
    assert entries_of(output) == [{"image": "b"}]


@pytest.mark.parametrize("content", [b"", b"{", b"nothing of ours\n{}\n", b"[]\n"])
def test_a_file_without_a_first_line_of_ours_starts_anew(output, content):
    path = written(output, {"image": "a"})
    path.write_bytes(content)
    written(output, {"image": "b"})
    assert entries_of(output) == [{"image": "b"}]


def test_other_settings_start_anew_and_are_named(output):
    written(output, {"image": "a"})
    with ProgressJournal(output, {"method": "bms", "box_settings": {"threshold": "otsu", "scale": 1.0}}) as journal:
        assert journal.entries == []
        assert journal.changes == ["box_settings.threshold: 0.5 -> otsu", "method: dsr -> bms"]
    with ProgressJournal(output, SETTINGS) as journal:
        assert journal.entries == []  # not what stood there before


def test_other_settings_are_refused_where_the_journal_is_to_be_continued(output):
    written(output, {"image": "a"})
    with (
        pytest.raises(InputError, match=r"Another method made it \(method: dsr -> bms\)\. Choose another output"),
        ProgressJournal(output, {**SETTINGS, "method": "bms"}, "Another method made it"),
    ):
        pass
    with ProgressJournal(output, SETTINGS, "Another method made it") as journal:
        assert journal.entries == [{"image": "a"}]


def test_the_same_settings_change_nothing(output):
    written(output, {"image": "a"}, settings={"sizes": (1, 2), "scale": 1})
    with ProgressJournal(output, {"sizes": [1, 2], "scale": 1.0}) as journal:
        assert (journal.entries, journal.changes) == ([{"image": "a"}], [])


def test_removing_leaves_nothing(output):
    with ProgressJournal(output, SETTINGS) as journal:
        journal.append({"image": "a"})
        journal.remove()
    assert list(output.parent.iterdir()) == []


def test_a_second_run_at_the_same_time_is_refused_and_harms_nothing(output):
    with ProgressJournal(output, SETTINGS) as journal:
        journal.append({"image": "a"})
        with pytest.raises(InputError, match=f"Another run is at work on {output}; wait"), ProgressJournal(output, {}):
            pass
        journal.append({"image": "b"})
    assert entries_of(output) == [{"image": "a"}, {"image": "b"}]


def test_another_output_in_the_same_folder_is_free(output):
    with ProgressJournal(output, SETTINGS), ProgressJournal(output.with_name("other.csv"), SETTINGS) as other:
        other.append({"image": "a"})
        assert other.entries == []


@pytest.mark.slow
def test_a_killed_run_leaves_no_lock(output):
    program = (
        "import sys, time\n"
        "from care_tf.progress_journal import ProgressJournal, remove_finished\n"
        "with ProgressJournal(sys.argv[1], {}) as journal:\n"
        "    journal.append({'image': 'a'}); print('locked', flush=True); time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program, str(output)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout.readline() == b"locked\n"
        with pytest.raises(InputError, match="Another run is at work"), ProgressJournal(output, {}):
            pass
        process.send_signal(signal.SIGKILL)
    assert entries_of(output, {}) == [{"image": "a"}]


def test_a_journal_deleted_between_opening_and_locking_is_not_used(output, monkeypatch):
    path = written(output, {"image": "a"})
    flock, calls = fcntl.flock, []

    def flock_after_the_other_run_ended(file, operation):
        if not calls:
            path.unlink()
        calls.append(operation)
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", flock_after_the_other_run_ended)
    with ProgressJournal(output, SETTINGS) as journal:
        assert len(calls) == 2
        journal.append({"image": "b"})
        assert path.read_text().splitlines()[1:] == ['{"image":"b"}']


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match="file cannot be written to: "),
        ProgressJournal(tmp_path / "file" / "m.csv", {}),
    ):
        pass


def test_a_full_disk_is_told_as_such(tmp_path, monkeypatch):
    class Full:
        def write(self, line):
            pass

        def flush(self):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        close = flush

    told = pytest.raises(InputError, match="cannot be written to: No space left")
    with told, ProgressJournal(tmp_path / "boxes.csv", {}) as journal:
        monkeypatch.setattr(journal, "_file", Full())
        journal.append({"image": "a.jpg"})


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_told_and_used(tmp_path, monkeypatch, code):
    def flock(file, how):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("care_tf.file_lock.fcntl.flock", flock)
    with pytest.warns(UserWarning, match="has no locks"), open_locked(tmp_path / "lock", "run"):
        pass


def test_a_journal_is_removed_only_where_its_run_had_written_the_output_before_it_was_killed(output):
    path = written(output, {"image": "a"})
    remove_finished(output)  # no output yet
    output.touch()
    os.utime(output, ns=(0, path.stat().st_mtime_ns - 1))  # that of an earlier run, which this one is to replace
    remove_finished(output)
    assert entries_of(output) == [{"image": "a"}]
    with ProgressJournal(output, SETTINGS):
        os.utime(output, ns=(0, path.stat().st_mtime_ns + 1))
        remove_finished(output)  # a living run's
        assert path.exists()
    remove_finished(output)
    assert os.listdir(output.parent) == [output.name]
    remove_finished(output)
