"""How good made boxes are: manifests with boxes against one with true boxes or masks, as a table and a page."""

import argparse
from pathlib import Path

from command_line import quiet_tensorflow, run_tool


def main(argv: list[str]) -> None:
    """Writes OUTPUT/box_quality.csv, .json and .html, and prints the mean IoU of every class and method."""
    arguments = _parse(argv)
    quiet_tensorflow()
    from care_tf.boxes.judging.quality import judge_boxes
    from care_tf.boxes.judging.quality_report import write_box_quality
    from care_tf.data.manifest import read_manifest

    quality = judge_boxes(
        read_manifest(arguments.truth),
        [read_manifest(path) for path in arguments.boxes],
        classes=arguments.classes,
        folds=arguments.folds,
        only_shared=arguments.only_shared,
        num_resamples=arguments.resamples,
        seed=arguments.seed,
    )
    written = write_box_quality(quality, arguments.output)
    for line in quality.not_judged:
        print(f"not judged: {line}")
    print(quality.summary())
    print(f"wrote {', '.join(map(str, written))}")


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="judge_boxes.py", description=__doc__)
    parser.add_argument("truth", type=Path, metavar="TRUTH.csv", help="manifest with the true boxes or masks")
    parser.add_argument("boxes", type=Path, nargs="+", metavar="BOXES.csv", help="manifest with the boxes to judge")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for box_quality.*")
    parser.add_argument(
        "--classes", nargs="+", metavar="CLASS", help="only these true classes (default all with truth)"
    )
    parser.add_argument("--folds", nargs="+", metavar="FOLD", help="only these folds of TRUTH.csv (default all)")
    parser.add_argument(
        "--only-shared",
        action="store_true",
        help="leave out images that a BOXES.csv lacks; otherwise they are an error",
    )
    parser.add_argument(
        "--resamples", type=int, default=1000, help="bootstrap resamples of the intervals (default 1000)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the resamples (default 0)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    run_tool(main)
