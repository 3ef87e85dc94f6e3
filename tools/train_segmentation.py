"""`care segment train` from a checkout."""

from care_tf.cli.segment_train import train

if __name__ == "__main__":
    train(prog_name="tools/train_segmentation.py")
