"""`care boxes export` from a checkout."""

from care_tf.cli.boxes_export import export

if __name__ == "__main__":
    export(prog_name="tools/export_boxes.py")
