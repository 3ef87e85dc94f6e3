"""`care evaluate` from a checkout."""

from care_tf.cli.evaluate import evaluate

if __name__ == "__main__":
    evaluate(prog_name="tools/evaluate.py")
