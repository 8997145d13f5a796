"""Run docs/notebook.ipynb in a kernel, and keep its outputs small.

``python -m tests.docs.notebook`` runs it and writes its outputs. A cell with the tag ``varies``
shows what depends on the machine, such as ids and times.
"""

from __future__ import annotations

import base64
import io
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image
from traitlets.config import Config

PATH = Path(__file__).parents[2] / "docs" / "notebook.ipynb"
VARIES = "varies"
# Seconds for one cell; the longest one takes half a minute.
_TIMEOUT_S = 600
_COLOURS = 128
Notebook = Any  # nbformat is not typed
Output = dict[str, Any]


def read(path: Path = PATH) -> Notebook:
    """Return a notebook. Raises if it is not valid."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def run(notebook: Notebook, folder: Path) -> Notebook:
    """Return a copy with the outputs of a run in ``folder``. Raises if a cell fails."""
    ran = nbformat.from_dict(notebook)
    with tempfile.TemporaryDirectory(prefix="kernel-") as sockets:
        # Sockets in a folder instead of ports, which others on the machine could open.
        manager = {"transport": "ipc", "ip": f"{sockets}/k"}
        client = NotebookClient(
            ran,
            config=Config({"KernelManager": manager}),
            kernel_name="python3",
            timeout=_TIMEOUT_S,
            resources={"metadata": {"path": str(folder)}},
            record_timing=False,
        )
        client.execute()
    for cell in ran.cells:
        for output in cell.get("outputs", ()):
            _make_small(output)
    ran.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}
    }
    return ran


def outputs(notebook: Notebook) -> list[tuple[str, list[str]]]:
    """Return the code of each cell and its outputs as text.

    Of a cell that varies, only the kinds of its outputs.
    """
    return [
        (cell.source, [_shown(output, _varies(cell)) for output in cell.outputs])
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def _varies(cell: Notebook) -> bool:
    return VARIES in cell.metadata.get("tags", ())


def _shown(output: Output, varies: bool) -> str:
    data = output.get("data", {})
    kinds = f"{output['output_type']} {' '.join(sorted(data))}"
    text = str(output.get("text", data.get("text/plain", "")))
    return kinds if varies else f"{kinds}: {text}"


def _make_small(output: Output) -> None:
    """Keep one picture of an output, as a PNG file with a palette."""
    data = output.get("data", {})
    data.pop("image/jpeg", None)  # Pillow shows each picture twice
    if "image/png" in data:
        picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
        small = io.BytesIO()
        palette = picture.convert("RGB").quantize(_COLOURS, method=Image.Quantize.MEDIANCUT)
        palette.save(small, "PNG", optimize=True)
        data["image/png"] = base64.b64encode(small.getvalue()).decode()


def main() -> None:
    """Run the notebook and write its outputs."""
    with tempfile.TemporaryDirectory() as folder:
        ran = run(read(), Path(folder))
    nbformat.write(ran, PATH)


if __name__ == "__main__":
    main()
