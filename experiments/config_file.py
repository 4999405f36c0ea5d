"""Reading a config file and its overrides, with errors that name the key and what exists."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException
from yaml import YAMLError

from experiments.config import ExperimentConfig

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Schema = TypeVar("Schema")

CONFIGS = Path(__file__).parents[1] / "configs"
PARTS = {"reproduce", "wandb"}  # folders of what is no config that a command is given
CLEARED = "train.batch"  # a mapping, which an override replaces rather than adds to


def load(path: Path | str, overrides: Sequence[str] = ()) -> ExperimentConfig:
    """The config of a run.

    Args:
        path: A YAML file with the differences from the defaults.
        overrides: `key=value`, with dots between levels.

    Raises:
        ValueError: If the file cannot be read, a key is unknown, a value has the wrong type or is
            out of range, or a required key is missing.
    """
    found = load_as(ExperimentConfig, path, overrides)
    if found.out is None:
        found.out = f"runs/{Path(path).stem}-{found.seed}"
    return found


def load_as(schema: type[Schema], path: Path | str, overrides: Sequence[str] = ()) -> Schema:
    """A config of another schema, read like that of a run.

    Args:
        schema: A dataclass.
        path: A YAML file with the differences from the defaults.
        overrides: `key=value`, with dots between levels.

    Raises:
        ValueError: As `load`.
    """
    path = Path(path)
    config = _merge(OmegaConf.structured(schema), _read(path), str(path))
    for override in overrides:
        source = f"override {override!r}"
        config = _merge(config, _parse(override, source), source, override)
    try:
        missing = sorted(OmegaConf.missing_keys(config))
        if missing:
            raise ValueError(f"{path}: required keys are unset: {', '.join(missing)}.")
        return cast(Schema, OmegaConf.to_object(config))
    except OmegaConfBaseException as error:
        raise _explained(error, str(path), config) from error


def sets(path: Path | str, overrides: Sequence[str], key: str) -> bool:
    """Whether a config file or one of the overrides sets a key.

    Args:
        path: A YAML file.
        overrides: `key=value`, with dots between levels.
        key: With dots between levels.

    Raises:
        ValueError: If the file or an override cannot be read.
    """
    given = [_read(Path(path)), *(_parse(each, f"override {each!r}") for each in overrides)]
    return any(OmegaConf.select(each, key) is not None for each in given)


def dump(config: DataclassInstance) -> str:
    """A config as YAML that `load` reads back."""
    return OmegaConf.to_yaml(OmegaConf.create(plain(config)))


def plain(config: DataclassInstance) -> dict[str, Any]:
    """A config as nested dicts of numbers and texts."""

    def entries(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {key: str(value) if isinstance(value, Enum) else value for key, value in pairs}

    return dataclasses.asdict(config, dict_factory=entries)


def _read(path: Path) -> DictConfig:
    if not path.is_file():
        raise ValueError(f"config {path} does not exist{_instead(path)}")
    try:
        found = OmegaConf.load(path)
    except (YAMLError, UnicodeDecodeError, OmegaConfBaseException, OSError) as error:
        raise ValueError(f"config {path} is not valid YAML: {error}") from error
    if not isinstance(found, DictConfig):
        raise ValueError(f"config {path} must be a mapping of keys to values, got a list.")
    return found


def _instead(path: Path) -> str:
    """What there is in the place of a file: a similar name, then all files, folder by folder."""
    existing = set(path.parent.glob("[!.]*.yaml")) | {
        file for file in CONFIGS.rglob("*.yaml") if not PARTS & set(file.parts)
    }
    folders: dict[str, set[str]] = {}
    for file in existing:
        folders.setdefault(_short(file.parent), set()).add(file.name)
    close = difflib.get_close_matches(path.stem, [file.stem for file in existing], 1)
    like = sorted({_short(file) for file in existing if close == [file.stem]})
    hint = f"; did you mean {' or '.join(like)}?" if like else "."
    lists = [f"  in {folder}: {', '.join(sorted(folders[folder]))}" for folder in sorted(folders)]
    return "\n".join([f"{hint} There are", *lists])


def _short(path: Path) -> str:
    """A path from here, where it lies below."""
    path, here = path.resolve(), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _parse(override: str, source: str) -> DictConfig:
    if "=" not in override.lstrip("="):
        raise ValueError(f"{source} must be of the form key=value, such as train.steps=500.")
    try:
        return OmegaConf.from_dotlist([override])
    except (YAMLError, OmegaConfBaseException) as error:
        raise ValueError(f"{source} cannot be read: {error}") from error


def _merge(config: DictConfig, added: DictConfig, source: str, override: str = "") -> DictConfig:
    try:
        if override.startswith(f"{CLEARED}="):
            OmegaConf.update(config, CLEARED, None)
        return cast(DictConfig, OmegaConf.merge(config, added))
    except OmegaConfBaseException as error:
        key, _, value = override.partition("=")
        section = OmegaConf.select(config, key) if key else None
        if isinstance(section, DictConfig) and _is_section(OmegaConf.get_type(section)):
            keys = [str(name) for name in section]
            raise ValueError(
                f"{source}: {key} is a section, not a value; its keys are {keys}. Set one of "
                f"them, such as {key}.{keys[0]}={value}."
            ) from error
        raise _explained(error, source, config) from error


def _explained(error: OmegaConfBaseException, source: str, config: DictConfig) -> ValueError:
    """The error in our words: the key, what was wrong, and what exists."""
    key = error.full_key or ""
    section, owner = key.rpartition(".")[0], error.object_type
    options = [f.name for f in dataclasses.fields(owner)] if _is_section(owner) else []
    if isinstance(error, ConfigKeyError) and options:
        close = difflib.get_close_matches(str(error.key), options, 1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        where = f"keys of {section!r}" if section else "keys"
        return ValueError(f"{source}: unknown key {key!r}; {where} are {options}.{hint}")
    first = str(error).splitlines()[0].rstrip(".")
    if options and error.key in options:
        kind = typing.get_type_hints(owner)[str(error.key)]
        if isinstance(kind, type) and issubclass(kind, Enum):
            first = f"{first.split(',')[0]}; choices are {[str(choice) for choice in kind]}"
    if not key:
        return ValueError(f"{source}: {first}; keys are {list(map(str, config))}.")
    return ValueError(f"{source}: {key}: {first}.")


def _is_section(owner: object) -> TypeGuard[type[DataclassInstance]]:
    return isinstance(owner, type) and dataclasses.is_dataclass(owner)
