"""`care calibrate` from a checkout."""

from care_tf.cli.calibrate import calibrate

if __name__ == "__main__":
    calibrate(prog_name="tools/calibrate.py")
