"""`care boxes make` from a checkout."""

from care_tf.cli.boxes_make import make

if __name__ == "__main__":
    make(prog_name="tools/make_boxes.py")
