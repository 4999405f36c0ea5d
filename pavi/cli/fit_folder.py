"""A fit on disk: the posterior, the model file as it was, and how both came about."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, final

from pavi.cli.data_file import DataFile
from pavi.cli.model_file import ModelFile
from pavi.core import HierarchicalModel
from pavi.data import PlateData
from pavi.files import check_writable, whole_folder
from pavi.posterior import Posterior

FORMAT = 1
CARD, MODEL, POSTERIOR = "fit.json", "model.py", "posterior"
KEYS = ("format", "model", "data", "options", "command", "written", "versions")
PACKAGES = ("pavi-torch", "torch", "pytorch-lightning", "zuko", "numpy", "pandas")


@final
@dataclass(frozen=True)
class FitFolder:
    """What `pavi fit` left in a folder.

    Model code is not pickled: the folder holds a copy of the model file, which is what it is read
    with, and remembers where the file came from.

    Args:
        path: The folder.
        card: The content of its `fit.json`.
        source: The model, from the copy in the folder.
    """

    path: Path
    card: Mapping[str, Any]
    source: ModelFile

    @classmethod
    def check_new(cls, path: Path, *, overwrite: bool) -> None:
        """See, before a fit, that it can be written.

        Raises:
            ValueError: If there is something already, unless it is a fit to be overwritten.
        """
        check_writable(path.resolve().parent)
        check_writable(path)
        if not path.exists():
            return
        if not (path / CARD).is_file():
            raise ValueError(f"{path} exists and is no fit; choose another folder with --out.")
        if not overwrite:
            raise ValueError(
                f"{path} holds a fit already; choose another folder with --out, or replace it "
                "with --overwrite."
            )

    @classmethod
    def write(
        cls,
        path: Path,
        posterior: Posterior,
        *,
        source: ModelFile,
        data: DataFile,
        options: Mapping[str, Any],
        command: Sequence[str],
    ) -> FitFolder:
        """Keep a fit; all of it or nothing.

        Args:
            path: The folder, checked with `check_new`.
            posterior: What was fitted.
            source: Where its model comes from.
            data: Where its data come from.
            options: How it was fitted.
            command: The command line.
        """
        card = {
            "format": FORMAT,
            "model": {
                "file": str(source.path.resolve()),
                "name": source.name,
                "sha256": source.digest,
            },
            "data": {**asdict(data), "path": str(data.path.resolve()), "sha256": data.digest},
            "options": dict(options),
            "command": list(command),
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": {
                "python": platform.python_version(),
                **{name: version(name) for name in PACKAGES},
            },
        }
        path = path.resolve()
        with whole_folder(path) as fresh:
            posterior.save(fresh / POSTERIOR)
            (fresh / MODEL).write_bytes(source.source)
            (fresh / CARD).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
        return cls(path, card, source)

    @classmethod
    def open(cls, path: Path) -> FitFolder:
        """Read what a folder says of its fit, and its model.

        Raises:
            ValueError: If it is no fit, is damaged, or its copy of the model was edited.
        """
        if not path.is_dir():
            raise ValueError(f"there is no folder {path} in {Path.cwd()}; `pavi fit` makes one.")
        if not (path / CARD).is_file():
            hint = ""
            if (path / "posterior.json").is_file():
                hint = " It was written by Posterior.save: read it in Python with Posterior.load."
            raise ValueError(f"{path} is no fit: it has no {CARD}.{hint}")
        try:
            card = json.loads((path / CARD).read_text(encoding="utf-8"))
            absent = [key for key in KEYS if key not in card]
            if absent or card["format"] != FORMAT:
                told = f"it lacks {absent}" if absent else f"its format is {card['format']!r}"
                raise ValueError(told)
            kept = sha256((path / MODEL).read_bytes()).hexdigest()
            folder, name = Path(card["model"]["file"]).parent, card["model"]["name"]
            digest = card["model"]["sha256"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is damaged: {CARD} or {MODEL}: {error}.") from error
        if kept != digest:
            raise ValueError(
                f"{path / MODEL} was changed after the fit, which belongs to the model as it was; "
                "undo the change, or fit again."
            )
        return cls(path, card, ModelFile.read(path / MODEL, name, folder=folder))

    @property
    def model(self) -> HierarchicalModel:
        """The model that was fitted."""
        return self.source.model

    @property
    def reference(self) -> str:
        """The model as the user named it, with its full path."""
        return f"{self.card['model']['file']}:{self.card['model']['name']}"

    @property
    def note(self) -> str | None:
        """What to tell if the model file has another text by now."""
        file = Path(self.card["model"]["file"])
        if not file.is_file():
            return None
        if sha256(file.read_bytes()).hexdigest() == self.card["model"]["sha256"]:
            return None
        return (
            f"{file} has changed since this fit, which goes on with the model as it was "
            f"({self.path / MODEL}). Fit again to use the new one."
        )

    def data(self, other: Path | None = None) -> PlateData:
        """The data that were fitted, read again.

        Args:
            other: Where the file is now; where it was by default.

        Raises:
            ValueError: If the file is not there, or is not the one of the fit.
        """
        kept = self.card["data"]
        options = {key: kept[key] for key in ("separator", "decimal", "missing")}
        file = DataFile(Path(kept["path"]) if other is None else other, **options)
        if other is None and not file.path.is_file():
            raise ValueError(
                f"the data of this fit are no longer in {file.path}; say where with --data."
            )
        file.check()
        if file.digest != kept["sha256"]:
            raise ValueError(
                f"{file.path} is not the file of this fit: its content differs. Give the file as "
                "it was with --data, or fit again."
            )
        return file.read(self.model)

    def posterior(self, *, data: PlateData | None) -> Posterior:
        """The posterior.

        Args:
            data: Its data, for what needs them.

        Raises:
            ValueError: If it is damaged.
        """
        return Posterior.load(self.path / POSTERIOR, self.model, data=data)
