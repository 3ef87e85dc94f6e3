"""`python -m care_tf`: the command `care` where the package is not installed."""

from care_tf.cli import main

if __name__ == "__main__":  # worker processes import this module, too
    main("python -m care_tf")
