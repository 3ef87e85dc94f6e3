"""`care demo` from a checkout."""

from care_tf.cli.demo import demo

if __name__ == "__main__":
    demo(prog_name="tools/demo.py")
