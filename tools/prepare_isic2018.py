"""`care prepare isic2018` from a checkout."""

from care_tf.cli.prepare_isic2018 import isic2018

if __name__ == "__main__":
    isic2018(prog_name="tools/prepare_isic2018.py")
