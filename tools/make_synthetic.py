"""`care prepare synthetic` from a checkout."""

from care_tf.cli.prepare_synthetic import synthetic

if __name__ == "__main__":
    synthetic(prog_name="tools/make_synthetic.py")
