"""The command `care`: each module is one command, which parses and calls the package; nothing heavy loads before."""

from care_tf.cli.care import main

__all__ = ["main"]
