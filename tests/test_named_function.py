import os.path
import sys

import pytest

from care_tf.errors import InputError
from care_tf.extras import MissingExtraError
from care_tf.named_function import named_function, strangers_code_refused


def test_the_module_and_the_function_come_back():
    assert named_function("os.path:basename", "method") == (os.path, os.path.basename)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module:f", "The method no_such_module:f: module 'no_such_module' cannot be imported"),
        (":f", "module '' cannot be imported"),
        ("os.path:nothing", "'nothing' in os.path must be a function; it is missing"),
        ("os.path:sep", "'sep' in os.path must be a function; it is a str"),
    ],
)
def test_what_is_no_function_is_refused(name, message):
    with pytest.raises(InputError, match=message):
        named_function(name, "method")


def test_a_package_that_ones_own_module_misses_is_told_with_how_to_install_it(tmp_path, monkeypatch):
    (tmp_path / "my_monitor.py").write_text("import no_such_package.keras\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match="No module named 'no_such_package'.*Run pip install no_such_package.$"):
        named_function("my_monitor:f", "callback")


def test_code_that_a_strangers_folder_names_is_not_imported(tmp_path, monkeypatch):
    (tmp_path / "stranger_module.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("stranger_module:build", "antigravity:fly", "os:abort", "builtins:eval"):
        message = f"Received {name}, code that would run.*CARE_TF_TRUST="
        with pytest.raises(InputError, match=message), strangers_code_refused("downloaded"):
            named_function(name, "backbone")
    assert "antigravity" not in sys.modules


def test_trusted_code_is_imported(tmp_path, monkeypatch):
    (tmp_path / "trusted_module.py").write_text("def build(): pass")
    monkeypatch.syspath_prepend(tmp_path)
    with strangers_code_refused("downloaded"):
        assert named_function("care_tf.backbones:get_backbone", "backbone")
        monkeypatch.setenv("CARE_TF_TRUST", "other, trusted_module")
        assert named_function("trusted_module:build", "backbone")
        monkeypatch.delenv("CARE_TF_TRUST")
        assert named_function("trusted_module:build", "backbone")  # which is imported now
    with strangers_code_refused("own", trust=True):
        assert named_function("os.path:basename", "backbone")


def test_a_missing_extra_is_said_as_it_is(tmp_path, monkeypatch):
    (tmp_path / "needs_extra.py").write_text(
        "from care_tf.extras import require_extra\nrequire_extra('M', 'boxes', 'no_such')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtraError, match=r"^M needs no_such"):
        named_function("needs_extra:f", "method")
