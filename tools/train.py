"""Trains a run from a configuration; started again, it goes on where it stopped.

Example: python tools/train.py configs/isic2018/care_csl.yaml output=runs/care stages.finetune.alpha=0.3
"""

import argparse
import sys

from command_line import quiet_tensorflow, run_tool


def main(argv: list[str]) -> None:
    """Parses the arguments, reads the configuration, trains."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="YAML file")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="replaces a value of the configuration")
    arguments = parser.parse_args(argv)

    quiet_tensorflow()
    from care_tf.runs import train_run
    from care_tf.runs.config import load_config

    folder = train_run(load_config(arguments.config, arguments.overrides), command=["tools/train.py", *sys.argv[1:]])
    print(f"wrote {folder}; next: python tools/evaluate.py {folder}")


if __name__ == "__main__":
    run_tool(main)
