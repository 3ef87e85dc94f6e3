"""A local page on which a person accepts, corrects or rejects boxes; decisions go to a manifest of their own."""

import argparse
from pathlib import Path

from command_line import quiet_tensorflow, run_tool


def main(argv: list[str]) -> None:
    """Serves the review of a manifest on 127.0.0.1 until Ctrl-C."""
    arguments = _parse(argv)
    quiet_tensorflow()
    from care_tf.boxes.review.opening import open_review
    from care_tf.boxes.review.server import serve_review

    session = open_review(arguments.manifest, arguments.output, classes=arguments.classes, order=arguments.order)
    serve_review(session, port=arguments.port, open_browser=not arguments.no_browser)


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="review_boxes.py", description=__doc__)
    parser.add_argument("manifest", type=Path, help="CSV file with the proposed boxes; never changed")
    parser.add_argument(
        "--output", type=Path, help="CSV file to write, or to go on with (default MANIFEST with .reviewed.csv)"
    )
    parser.add_argument(
        "--classes", nargs="+", metavar="CLASS", help="classes to review (default those in which an image has a box)"
    )
    parser.add_argument(
        "--order", choices=("doubt", "manifest"), default="doubt", help="most doubtful first, or as in the file"
    )
    parser.add_argument("--port", type=int, default=0, help="TCP port (default a free one)")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    return parser.parse_args(argv)


if __name__ == "__main__":
    run_tool(main)
