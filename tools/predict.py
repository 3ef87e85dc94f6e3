"""`care predict` from a checkout."""

from care_tf.cli.predict import predict

if __name__ == "__main__":
    predict(prog_name="tools/predict.py")
