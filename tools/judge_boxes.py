"""`care boxes judge` from a checkout."""

from care_tf.cli.boxes_judge import judge

if __name__ == "__main__":
    judge(prog_name="tools/judge_boxes.py")
