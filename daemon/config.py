"""Reading the configuration: one frozen `Settings` object, from `config.yaml` and the environment.

A setting comes from the environment if it is there, else from the file, else from its default. Whatever is
unknown or wrong stops the program with one `ConfigError` that names all of it, and never shows a password.
`python -m daemon.config` prints the reference table of docs/configuration.md.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import EnvSettingsSource

from daemon.errors import ConfigError
from daemon.settings import PREFIX, SQLITE, Settings, nearest, quoted, safe_url

__all__ = ["KEYS", "Settings", "load_settings", "reference_table", "safe_url", "variable_name"]

DEFAULT_FILE: Final = "config.yaml"
_SHOWN_CHARACTERS: Final = 120

# What pydantic says in Python's words, in the file's words.
_PLAIN_WORDS: Final = {
    "model_type": "must be a section with keys below it (in a variable: a JSON object)",
    "tuple_type": 'must be a list (in a variable: a JSON list such as ["a", "b"])',
    "path_type": "must be a path",
}
# The fastest loader there is; both are safe ones.
_YamlLoader: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _walk(
    model: type[BaseModel], prefix: str = ""
) -> Iterator[tuple[str, FieldInfo, type[BaseModel] | None]]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        section = kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None
        yield prefix + name, field, section
        if section:
            yield from _walk(section, f"{prefix}{name}.")


KEYS: Final[Mapping[str, FieldInfo]] = {key: field for key, field, section in _walk(Settings) if not section}
"""Every setting by its dotted key, such as `settle.quiet_seconds`, in the order of the file."""

_SECTIONS: Final = frozenset(key for key, _, section in _walk(Settings) if section)


def variable_name(key: str) -> str:
    """The environment variable of a dotted key: `settle.scan_seconds` is `STOCKGRIP_SETTLE__SCAN_SECONDS`."""
    return PREFIX + key.replace(".", "__").upper()


def load_settings(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings once, at start.

    Args:
        path: the configuration file; None means `config.yaml` in the current folder, if there is one.
        environ: the environment; its variables that begin with `STOCKGRIP_` go before the file.

    Returns:
        The settings, with `data_dir` and a SQLite path absolute: relative ones are meant from the file's folder,
        or from the current folder if there is no file.

    Raises:
        ConfigError: the file is missing or broken, or keys or values are wrong; the message names all of them.
    """
    here = _current_folder()
    file = here / (path or DEFAULT_FILE)
    present = path is not None or os.path.lexists(file)
    content, lines = _read_yaml(file) if present else ({}, {})
    variables = {name: value for name, value in environ.items() if name.upper().startswith(PREFIX)}
    known = KEYS.keys() | _SECTIONS
    unknown = [name for name in variables if _key_of(name) not in known]
    overrides = _read_variables({name: variables[name] for name in variables.keys() - set(unknown)})
    where = _Origin(file, lines, tuple(variables), overrides)

    problems = [where.unknown_variable(name) for name in unknown]
    from_file = _known_only(content, lambda key: problems.append(where.unknown_key(key)))
    from_variables = _known_only(overrides, lambda key: problems.append(where.unknown_key_in_variable(key)))
    try:
        settings = Settings.model_validate(_merge(from_file, from_variables))
    except ValidationError as error:
        problems += [where.wrong_value(detail) for detail in error.errors(include_url=False)]
    if problems:
        head = "" if len(problems) == 1 else f"{len(problems)} things are wrong in the configuration:\n  "
        raise ConfigError(head + "\n  ".join(problems))
    return _anchored(settings, file.parent if present else here)


def _current_folder() -> Path:
    try:
        return Path.cwd()
    except OSError:
        raise ConfigError("the current folder does not exist any more; change to one that does") from None


@dataclass(frozen=True)
class _Origin:
    """Where settings came from, to say so in messages. No value of an unknown key is ever shown."""

    file: Path
    lines: Mapping[str, int]
    variables: tuple[str, ...]
    overrides: Mapping[str, Any]

    def unknown_key(self, key: str) -> str:
        if key in KEYS:  # written with its dot
            meant = ": and below it ".join(key.rsplit(".", 1))
            return f"{self._place(key)}: unknown key {key}; sections are nested: write {meant}:"
        meant = nearest(key, (*KEYS, *_SECTIONS))
        return f"{self._place(key)}: unknown key {key}; did you mean {meant}?"

    def unknown_variable(self, name: str) -> str:
        meant = variable_name(nearest(_key_of(name), KEYS))
        return f"environment: unknown variable {name}; did you mean {meant}?"

    def unknown_key_in_variable(self, key: str) -> str:
        given = self._variables(key)
        return f"environment, {given}: unknown key {key}; did you mean {nearest(key, KEYS)}?"

    def wrong_value(self, error: ErrorDetails) -> str:
        key = ".".join(part for part in error["loc"] if isinstance(part, str))
        index = "".join(f"[{part}]" for part in error["loc"] if isinstance(part, int))
        wanted = _PLAIN_WORDS.get(error["type"], error["msg"])
        wanted = wanted.removeprefix("Value error, ").replace("Input should be", "must be")
        if not _may_hold_secret(key):
            wanted = f"received {_shortened(safe_url(repr(error['input'])))}, {wanted}"
        overridden = _holds(self.overrides, key.split("."))
        place = f"environment, {self._variables(key)}" if overridden else self._place(key)
        return f"{place}: {key}{index}: {wanted}"

    def _place(self, key: str) -> str:
        line = self.lines.get(key)
        return f"{self.file}, line {line}" if line else str(self.file)

    def _variables(self, key: str) -> str:
        """The variable of this key; without one, those of the section around it or of the keys below it."""
        own = [name for name in self.variables if _key_of(name) == key]
        related = [
            name
            for name in self.variables
            if key.startswith(f"{_key_of(name)}.") or _key_of(name).startswith(f"{key}.")
        ]
        return ", ".join(own or related)


def _may_hold_secret(key: str) -> bool:
    """Whether what was given for a key, or a section, is better not shown."""
    if key.startswith("database"):
        return key != "database.busy_timeout_seconds"
    return key.startswith("alerts") and (
        key not in KEYS or key.endswith(("_env", "_file", "_credential", ".url"))
    )


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _holds(data: Any, path: list[str]) -> bool:
    return not path or (isinstance(data, dict) and path[0] in data and _holds(data[path[0]], path[1:]))


def _read_yaml(file: Path) -> tuple[dict[Any, Any], dict[str, int]]:
    """The content of a configuration file, and the line of each key of its sections."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror}); name another with --config") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: is no UTF-8 at byte {error.start}; save it as UTF-8") from None
    try:
        loader = _YamlLoader(text)
        node = loader.get_single_node()
        lines = dict(_key_lines(file, node))
        content = loader.construct_document(node) if node else None
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        said = " ".join(filter(None, (error.context, error.problem)))
        raise ConfigError(f"{file}{line}: is no valid YAML: {safe_url(said)}") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: such as a date of month 13
        raise ConfigError(f"{file}: is no valid YAML: {safe_url(str(error))}") from None
    if content is not None and not isinstance(content, dict):
        raise ConfigError(f"{file}: holds a {type(content).__name__}, must be keys with values (key: value)")
    return content or {}, lines


def _key_lines(
    file: Path, node: yaml.Node | None, section: str = "", depth: int = 3
) -> Iterator[tuple[str, int]]:
    """Dotted keys with their lines, as deep as the sections go. A key given twice would lose its first value."""
    if not isinstance(node, yaml.MappingNode) or not depth:
        return
    seen: dict[str, int] = {}
    for key, value in node.value:
        name, line = f"{section}{key.value}", key.start_mark.line + 1
        if name in seen:
            raise ConfigError(
                f"{file}, line {line}: {name} stands in line {seen[name]} already; merge the two"
            )
        seen[name] = line
        yield name, line
        yield from _key_lines(file, value, f"{name}.", depth - 1)


class _VariableSource(EnvSettingsSource):
    """pydantic-settings' reading of variables, except that broken JSON is left to be refused as a wrong value."""

    def decode_complex_value(self, field_name: str, field: FieldInfo | None, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)  # type: ignore[arg-type]
        except ValueError:
            return value


def _read_variables(variables: Mapping[str, str]) -> dict[str, Any]:
    source = _VariableSource(Settings)
    source.env_vars = {name.lower(): value for name, value in variables.items()}
    return source()


def _key_of(variable: str) -> str:
    return variable[len(PREFIX) :].lower().replace("__", ".")


def _known_only(
    data: Mapping[Any, Any], complain: Callable[[str], None], section: str = ""
) -> dict[str, Any]:
    """The data without unknown keys, each of which is complained about, and without empty sections."""
    known: dict[str, Any] = {}
    for name, value in data.items():
        key = f"{section}{name}"
        if "." in str(name) or not (key in KEYS or key in _SECTIONS):
            complain(key)
        elif key in _SECTIONS and isinstance(value, dict):
            known[name] = _known_only(value, complain, f"{key}.")
        elif key in KEYS or value is not None:
            known[name] = value
    return known


def _merge(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    both = {
        name: _merge(low[name], value)
        for name, value in high.items()
        if isinstance(value, dict) and isinstance(low.get(name), dict)
    }
    return {**low, **high, **both}


def _anchored(settings: Settings, folder: Path) -> Settings:
    """The same settings with relative paths made absolute, from the folder."""
    database = settings.database
    if database.url and database.url.startswith(SQLITE) and not database.url.startswith(f"{SQLITE}/"):
        url = f"{SQLITE}{quoted(folder)}/{database.url.removeprefix(SQLITE)}"
        database = database.model_copy(update={"url": url})
    changed = {
        "data_dir": folder / settings.data_dir,
        "database": database,
        "alerts": settings.alerts.anchored(folder),
        "backup": settings.backup.anchored(folder),
    }
    return settings.model_copy(update=changed)


def reference_table() -> str:
    """Every setting as a Markdown table: key, default, environment variable, meaning."""
    rows = ["| key | default | variable | meaning |", "|---|---|---|---|"]
    for key, field in KEYS.items():
        default = json.dumps(field.default, default=str, ensure_ascii=False)
        cells = (f"`{key}`", f"`{default}`", f"`{variable_name(key)}`", str(field.description))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(reference_table(), end="")  # noqa: T201
