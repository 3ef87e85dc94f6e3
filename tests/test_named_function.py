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
