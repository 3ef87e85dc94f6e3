"""`care boxes import` from a checkout."""

from care_tf.cli.boxes_import import import_

if __name__ == "__main__":
    import_(prog_name="tools/import_boxes.py")
