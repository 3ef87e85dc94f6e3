"""How every tool starts: bad input becomes one clear line and exit code 2, never a traceback."""

import os
import sys
from collections.abc import Callable

BAD_INPUT = 2


def quiet_tensorflow() -> None:
    """Imports TensorFlow without its start-up lines, which no setting silences and which bury a tool's own output.

    They come from C++ and go to file descriptor 2, so it points to nowhere while TensorFlow starts and looks for
    devices. Python exceptions are not affected.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        import tensorflow as tf

        tf.config.list_physical_devices()
        tf.zeros(1)  # creates the devices
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def run_tool(main: Callable[[list[str]], None]) -> None:
    """Runs `main(argv)` and exits: 0 on success, 2 with one line on bad input, 130 on Ctrl-C.

    Args:
      main: Takes the arguments after the program's name. Bad input is an `InputError`; anything else is a defect
        and keeps its traceback.
    """
    try:
        main(sys.argv[1:])
    except ValueError as error:
        # Imported here, not above: care_tf brings TensorFlow along, and --help should not wait for it.
        from care_tf.errors import InputError

        if not isinstance(error, InputError):
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
