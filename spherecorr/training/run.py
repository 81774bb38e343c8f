"""The folder of a training run: what it is, how far it is, and all that it takes to go on.

`config.json` holds the settings, `metrics.jsonl` one line per figure logged, `last` and `best` are sphere checkpoints,
and `state.pt` is where a run that was stopped goes on. Each file is replaced only by a whole one.
"""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path
from typing import Any

import torch

from spherecorr.errors import SpherecorrError
from spherecorr.files import write_atomic, writing
from spherecorr.identity import without_names
from spherecorr.sphere.checkpoint import save_sphere
from spherecorr.sphere.mapper import SphereMapper

CONFIG, METRICS, STATE = "config.json", "metrics.jsonl", "state.pt"
NOT_COMPARED = ("versions",)
DIGESTS = "digests"  # entry of the config: what the run was made from -> digest of its content


class TrainingRun:
    """A run's folder, new or begun.

    Args:
        folder: of the run.
        config: JSON-able; what decides the result, and "versions".

    Raises:
        SpherecorrError: the folder holds another run, or something else.
    """

    def __init__(self, folder: str | Path, config: dict[str, Any]):
        self.folder = Path(folder)
        self.config = json.loads(json.dumps(config))
        path = self.folder / CONFIG
        if path.is_file():
            _compare(self.folder, _read_config(path), self.config)
        else:
            write_atomic(path, (json.dumps(self.config, indent=2) + "\n").encode())
        self._board: Any = None  # TensorBoard's writer, from the first figures on

    def save_state(self, state: dict[str, Any]) -> None:
        """Write the state; it must have an entry "step"."""
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_atomic(self.folder / STATE, buffer.getvalue())

    def log(self, step: int, figures: dict[str, float]) -> None:
        """Add a line to `metrics.jsonl`, and to TensorBoard's files where it is installed."""
        path = self.folder / METRICS
        with writing(path), path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **figures}) + "\n")
        self._board = self._board or _tensorboard(self.folder, step)
        if self._board:
            for name, value in figures.items():
                self._board.add_scalar(name, value, step)
            self._board.flush()

    def checkpoint(self, name: str, mapper: SphereMapper, metadata: dict[str, Any]) -> None:
        """Write the mapper to the folder `name`, with the run's config beside its own settings."""
        about = {key: value for key, value in self.config.items() if key != "mapper"}  # stored as the mapper's own
        save_sphere(mapper, self.folder / name, metadata={**about, **metadata})

    def forget_after(self, step: int) -> None:
        """Drop the lines of `metrics.jsonl` after a step, from which the run goes on and writes them again."""
        path = self.folder / METRICS
        if not path.is_file():
            return
        kept = []
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(f"{line}\n")
            except ValueError:  # half a line: the run ended while it was written
                break
        write_atomic(path, "".join(kept).encode())


def read_state(folder: str | Path) -> dict[str, Any] | None:
    """Where a run was when its state was last saved, on the CPU; None if it never was.

    Raises:
        SpherecorrError: the file is damaged.
    """
    path = Path(folder) / STATE
    if not path.is_file():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise SpherecorrError(f"{path} is damaged; delete '{folder}' and train again.") from error


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SpherecorrError(f"{path} is damaged; delete {path.parent} and train again.") from error
    if not isinstance(config, dict) or "training" not in config or "sphere" in config:
        raise SpherecorrError(f"'{path.parent}' is no training run; choose another folder.")
    return config


def _compare(folder: Path, there: dict[str, Any], here: dict[str, Any]) -> None:
    """Refuse a run of other settings or inputs; what has changed is named."""
    old, new = _flat(without_names(there)), _flat(without_names(here))
    for key in [*old, *new]:
        part, _, name = key.partition(".")
        if part in NOT_COMPARED or old.get(key) == new.get(key):
            continue
        if part == DIGESTS:
            raise SpherecorrError(f"'{folder}' holds a run on other {name}. Choose another folder, or delete this one.")
        raise SpherecorrError(
            f"'{folder}' holds a run with other settings: {key} is {json.dumps(old.get(key))} there and "
            f"{json.dumps(new.get(key))} here. Choose another folder, or delete this one."
        )


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _tensorboard(folder: Path, step: int) -> Any:
    """A writer that takes the place of all that was written from this step on; None without TensorBoard."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError:
        return None
    return SummaryWriter(str(folder), purge_step=step)
