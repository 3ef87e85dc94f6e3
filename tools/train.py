"""`care train` from a checkout."""

from care_tf.cli.train import train

if __name__ == "__main__":
    train(prog_name="tools/train.py")
