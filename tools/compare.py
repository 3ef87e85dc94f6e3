"""`care compare` from a checkout."""

from care_tf.cli.compare import compare

if __name__ == "__main__":
    compare(prog_name="tools/compare.py")
