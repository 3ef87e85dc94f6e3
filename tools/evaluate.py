"""Evaluates a run on labeled images: metrics.json, predictions.csv and report.html in the run folder.

Example: python tools/evaluate.py runs/care --baseline runs/baseline
"""

import argparse

from command_line import quiet_tensorflow, run_tool


def main(argv: list[str]) -> None:
    """Parses the arguments, evaluates, prints the headline figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="run folder written by tools/train.py")
    parser.add_argument("--manifest", help="manifest CSV; default: the run's own")
    parser.add_argument("--split", help="rows with this value in the split column; default: the run's data.test")
    parser.add_argument("--folds", help="rows of these folds, separated by commas")
    parser.add_argument("--baseline", help="another run folder, compared on the same images")
    parser.add_argument("--output", help="folder to write to; default: the run folder")
    parser.add_argument("--resamples", type=int, default=1000, help="bootstrap resamples (default: 1000)")
    arguments = parser.parse_args(argv)

    quiet_tensorflow()
    from care_tf.runs import evaluate_run

    summary = evaluate_run(
        arguments.run,
        manifest=arguments.manifest,
        split=arguments.split,
        folds=arguments.folds.split(",") if arguments.folds else None,
        baseline=arguments.baseline,
        output=arguments.output,
        num_resamples=arguments.resamples,
    )
    print(summary)


if __name__ == "__main__":
    run_tool(main)
