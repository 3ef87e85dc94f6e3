"""`care boxes review` from a checkout."""

from care_tf.cli.boxes_review import review

if __name__ == "__main__":
    review(prog_name="tools/review_boxes.py")
