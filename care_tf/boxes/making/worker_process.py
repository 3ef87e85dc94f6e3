"""What another process is told to do with an image, and how it is prepared for it."""

import os
from collections.abc import Callable

from care_tf.boxes.making.one_image import ImageResult


def portable_annotate(is_own: bool) -> Callable[[bytes, tuple], ImageResult]:
    """`annotate` for another process, which it prepares before care_tf brings TensorFlow in.

    A function inside a function is pickled as code, not by name, so nothing of care_tf is imported to unpickle it;
    for the same reason it uses nothing from this module and takes a task as a bare tuple.

    Args:
      is_own: This process started the other one: it is kept quiet, and ends when this one is killed.
    """
    starter = os.getpid() if is_own else -1

    def annotate_there(packed, task):
        import os
        import sys
        import threading
        import time

        def end_with(pid):
            while os.getppid() == pid:
                time.sleep(1)
            os._exit(1)

        if "tensorflow" not in sys.modules:  # the first image of this process
            os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
            os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
            os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
            os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # workers share the GPU
            if os.getppid() == starter:
                # joblib's workers would wait five minutes for a killed process, with all that they hold in memory.
                threading.Thread(target=end_with, args=[starter], daemon=True).start()
                kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)  # see tools/command_line.py
                try:
                    os.dup2(nowhere, 2)
                    import tensorflow  # noqa: F401
                finally:
                    os.dup2(kept, 2)
                    os.close(kept)
                    os.close(nowhere)
        from care_tf.boxes.making.one_image import ImageTask, annotate

        return annotate(packed, ImageTask(*task))

    return annotate_there
