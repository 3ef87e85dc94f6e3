"""Writes the synthetic lesion set: images, manifest.csv and truth.csv.

Example: python tools/make_synthetic.py --output lesions
"""

import argparse

from command_line import quiet_tensorflow, run_tool


def main(argv: list[str]) -> None:
    """Parses the arguments, draws, writes the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", required=True, help="folder to write; must not exist or be empty")
    parser.add_argument("--seed", type=int, default=0, help="equal seeds write equal images (default: 0)")
    parser.add_argument("--size-px", type=int, default=80, help="side of the square images (default: 80)")
    parser.add_argument("--force", action="store_true", help="replace a folder that this tool wrote before")
    arguments = parser.parse_args(argv)

    quiet_tensorflow()
    from care_tf.datasets.synthetic_lesions import SyntheticLesions

    lesions = SyntheticLesions(seed=arguments.seed, size_px=arguments.size_px)
    print(f"{lesions.write(arguments.output, force=arguments.force)} lists {lesions.num_images} images")


if __name__ == "__main__":
    run_tool(main)
