"""Starts TensorFlow quietly, where somebody reads the output."""

import os
import sys


def quiet_tensorflow() -> None:
    """Imports TensorFlow without its start-up lines, which no setting silences and which bury all other output.

    They come from C++ and go to file descriptor 2, so it points to /dev/null while TensorFlow starts and looks for
    devices. Python exceptions are not affected. Where TensorFlow is already imported, nothing is done.
    """
    if "tensorflow" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        import tensorflow as tf

        tf.config.list_physical_devices()
        if "TF_CONFIG" not in os.environ:  # several workers have to find each other before
            tf.zeros(1)  # creates the devices
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def one_image_per_core() -> None:
    """Sets what TensorFlow reads when it starts, here or in a process that this one starts; what is set already stays.

    One thread for each image, and processes share the GPU.
    """
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
