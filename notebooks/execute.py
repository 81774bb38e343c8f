"""Run the notebooks and keep what they show, small and without traces of the machine.

    python notebooks/execute.py                  # all of them, anew
    python notebooks/execute.py 01 03            # those whose names begin so
    python notebooks/execute.py --check          # run them and write nothing: what CI does

Each runs in a fresh kernel and in an empty folder, without network. Needs `pip install -e ".[notebooks]"`.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

FOLDER = Path(__file__).resolve().parent
# No progress bars in the stored outputs, nothing from the network, and one thread to each of two kernels.
ENVIRONMENT = {
    "TQDM_DISABLE": "1",
    "PYTHONWARNINGS": "ignore:IProgress not found",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
}


def main() -> int:
    """Execute; 1 if a cell of any notebook failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="first letters of notebooks (default: all)")
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--processes", type=int, default=2, help="notebooks side by side (default: %(default)s)")
    options = parser.parse_args()
    os.environ.update(ENVIRONMENT)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(FOLDER.parent), os.environ.get("PYTHONPATH")]))
    wanted = tuple(options.names) or ("",)
    paths = [path for path in sorted(FOLDER.glob("*.ipynb")) if path.name.startswith(wanted)]
    with ThreadPoolExecutor(options.processes) as pool:
        return int(not all(list(pool.map(lambda path: run(path, write=not options.check), paths))))


def run(path: Path, write: bool) -> bool:
    """Execute one notebook and say how it went; the file changes only if all of its cells ran."""
    notebook, began = nbformat.read(path, as_version=4), time.time()
    with TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=600,
            kernel_name="python3",
            coalesce_streams=True,
            extra_arguments=["--Application.log_level=ERROR"],  # it warns of its own ports
            resources={"metadata": {"path": folder}},
        )
        try:
            client.execute()
        except CellExecutionError as error:
            print(f"{path.name} failed:\n{error}", file=sys.stderr)
            return False
    print(f"{path.name}: {time.time() - began:.0f} s", flush=True)
    if write:
        nbformat.write(cleaned(notebook), path)
    return True


def cleaned(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Without what differs from run to run: times, versions of Python, the kernel's name for itself."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        cell.metadata = {}
        for output in cell.get("outputs", []):
            if "metadata" in output:
                output.metadata = {}
    return notebook


if __name__ == "__main__":
    sys.exit(main())
