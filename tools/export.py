"""`care export` from a checkout."""

from care_tf.cli.export import export

if __name__ == "__main__":
    export(prog_name="tools/export.py")
