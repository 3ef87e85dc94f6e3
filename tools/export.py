"""Turns a run folder into a SavedModel that needs only TensorFlow.

Example: python tools/export.py runs/isic2018 exported/isic2018
"""

import argparse

from command_line import quiet_tensorflow, run_tool


def main(argv: list[str]) -> None:
    """Parses the arguments, loads the run, writes the SavedModel."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="run folder written by tools/train.py")
    parser.add_argument("out", help="folder to write the SavedModel to")
    parser.add_argument(
        "--image-size",
        type=int,
        nargs=2,
        metavar=("HEIGHT", "WIDTH"),
        help="pixels the classifier works at; default: as in training (clients may send images of any size)",
    )
    arguments = parser.parse_args(argv)

    quiet_tensorflow()
    from care_tf.runs import load_run
    from care_tf.serving import export_saved_model

    run = load_run(arguments.run)
    export_saved_model(
        run.care_model,
        arguments.out,
        preprocess=run.preprocess,
        image_size=tuple(arguments.image_size or run.image_size),
        class_names=run.class_names,
    )
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    run_tool(main)
