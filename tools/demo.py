"""The whole way on drawn lesions: data, baseline and CARE from the same first stage, comparison, report, SavedModel.

Example: python tools/demo.py --output demo
"""

import argparse
import time
from pathlib import Path

from command_line import quiet_tensorflow, run_tool

CONFIG = Path(__file__).parent.parent / "configs" / "demo.yaml"


def main(argv: list[str]) -> None:
    """Runs the steps one after the other; a demo started again goes on where it stopped."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default="demo", help="folder to write to (default: demo)")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="replaces a value of configs/demo.yaml")
    arguments = parser.parse_args(argv)
    output = Path(arguments.output)
    start = time.monotonic()

    quiet_tensorflow()
    from care_tf.datasets import SyntheticLesions
    from care_tf.runs import evaluate_run, load_run, train_run
    from care_tf.runs.config import load_config
    from care_tf.serving import export_saved_model

    manifest = output / "data" / "manifest.csv"
    if not manifest.exists():
        print("drawing lesions: the rare class wears a blue sticker in training, and never in the test")
        SyntheticLesions(seed=0).write(output / "data")
    settings = [f"data.manifest={manifest}", *arguments.overrides]
    care, baseline = output / "runs" / "care", output / "runs" / "baseline"
    reused = [f"output={baseline}", f"stages.pretrain.reuse={care}", "stages.finetune.alpha=0"]
    print("CARE: stage 1 without, stage 2 with attention to the boxes")
    train_run(load_config(CONFIG, [*settings, f"output={care}"]), command=["tools/demo.py", *argv])
    print("baseline: the same stage 1, stage 2 of the same length without attention")
    train_run(load_config(CONFIG, [*settings, *reused]), command=["tools/demo.py", *argv])
    print(evaluate_run(care, baseline=baseline))
    run = load_run(care)
    export_saved_model(
        run.care_model,
        output / "saved_model",
        preprocess=run.preprocess,
        image_size=run.image_size,
        class_names=run.class_names,
    )
    print(f"wrote {output / 'saved_model'}; {time.monotonic() - start:.0f} s in all")


if __name__ == "__main__":
    run_tool(main)
