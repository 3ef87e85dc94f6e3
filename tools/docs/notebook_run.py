"""Runs notebooks and writes them back with what they drew and printed: `make notebooks`."""

import sys
import tempfile
from typing import Any

import nbformat
from nbclient import NotebookClient


def executed(content: Any, folder: str) -> Any:
    """A notebook after a run in `folder`, with its pictures and its standard output alone.

    Raises:
      nbclient.exceptions.CellExecutionError: A cell failed.
    """
    NotebookClient(content, timeout=3000, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()
    for cell in content.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return content


if __name__ == "__main__":
    for name in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as scratch:
            nbformat.write(executed(nbformat.read(name, as_version=4), scratch), name)
        print(f"ran {name}")
