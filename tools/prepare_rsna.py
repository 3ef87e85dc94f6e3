"""`care prepare rsna` from a checkout."""

from care_tf.cli.prepare_rsna import rsna

if __name__ == "__main__":
    rsna(prog_name="tools/prepare_rsna.py")
