import os.path

import pytest

from care_tf.errors import InputError
from care_tf.named_function import named_function


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
