"""A notebook with its outputs as a Markdown page and pictures."""

import base64
import json
from pathlib import Path


def write_page(notebook: Path, folder: Path) -> None:
    """Writes `folder`/NAME.md, and the pictures beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for number, cell in enumerate(json.loads(notebook.read_text(encoding="utf-8"))["cells"]):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        printed = ""
        for index, output in enumerate(cell["outputs"]):
            data = output.get("data", {})
            if "image/png" in data:
                picture = f"{notebook.stem}_{number}_{index}.png"
                (folder / picture).write_bytes(base64.b64decode("".join(data["image/png"])))
                parts.append(f"![What the cell draws]({picture})")
            else:
                printed += "".join(output.get("text", data.get("text/plain", "")))
        if printed.strip():
            parts.append(f'```text title="Output"\n{printed.rstrip()}\n```')
    parts.append(f"*This page is the notebook `docs/notebooks/{notebook.name}`, as it ran.*")
    (folder / f"{notebook.stem}.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
