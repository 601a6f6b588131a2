"""What the checks look at: the settings, the data folder, the database, the host. Each thing is looked at once."""

import json
import os
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from daemon.config import DEFAULT_FILE, KEYS, load_settings, variable_name
from daemon.doctor.finding import NotLooked
from daemon.doctor.mounts import Mount, mount_of
from daemon.doctor.processes import Processes
from daemon.doctor.trial import Trial, trial
from daemon.doctor.words import user_name
from daemon.errors import ConfigError
from daemon.files import Folders
from daemon.settings import Settings

if TYPE_CHECKING:
    from daemon.store.facts import Database, Unreachable

_LONGEST_WAIT = 5.0  # seconds for a database: a person sits before the screen


@dataclass(frozen=True)
class Site:
    """One host, one configuration.

    Attributes:
        config: what was given as ``--config``.
        environ: the environment.
        deep: whether to read the whole database.
        proc: the kernel's tables.
        etc: where an installed service has its configuration.
        run: what daemons say of themselves.
        clock: seconds since 1970.
    """

    config: Path | None
    environ: Mapping[str, str]
    deep: bool = False
    proc: Path = Path("/proc")
    etc: Path = Path("/etc/stockgrip")
    run: Path = Path("/run")
    clock: Callable[[], float] = time.time
    processes: Processes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "processes", Processes(self.proc))

    # ---- configuration

    @cached_property
    def loaded(self) -> Settings | ConfigError:
        """The settings in force, or what is wrong with them."""
        try:
            return load_settings(self.config, self.environ)
        except ConfigError as error:
            return error

    @property
    def settings(self) -> Settings:
        """The settings in force.

        Raises:
            NotLooked: there are none.
        """
        if isinstance(self.loaded, ConfigError):
            raise NotLooked("not looked at: the configuration is wrong")
        return self.loaded

    @cached_property
    def file(self) -> Path | None:
        """The configuration file in force; None: only defaults and the environment."""
        if self.config is not None:
            return Path.cwd() / self.config
        file = Path.cwd() / DEFAULT_FILE
        return file if file.exists() else None

    @cached_property
    def in_file(self) -> dict[str, Any]:
        """The settings that stand in the file, by their dotted keys."""
        _ = self.settings  # a file that is broken is said once
        content = yaml.safe_load(self.file.read_text("utf-8-sig")) if self.file else None
        return _flat(content or {})

    @cached_property
    def in_environment(self) -> dict[str, str]:
        """The settings that the environment gives, with the variables they come from."""
        given = {}
        for name, value in self.environ.items():
            for key in KEYS:
                section = variable_name(key).startswith(f"{name.upper()}__") and _holds(value, name, key)
                if section or name.upper() == variable_name(key):
                    given[key] = name
        return given

    # ---- folders

    @cached_property
    def folders(self) -> Folders:
        """The data folder."""
        return Folders(self.settings.data_dir)

    def mount_of(self, path: Path) -> Mount:
        """The filesystem of a path.

        Raises:
            NotLooked: it may not be looked at.
        """
        try:
            return mount_of(path, (self.proc / "self/mountinfo").read_text("utf-8", "surrogateescape"))
        except OSError as error:
            raise NotLooked(f"the filesystem of {path} cannot be told: {error.strerror}") from error

    @property
    def all_folders(self) -> tuple[Path, ...]:
        """Every folder below the data folder."""
        f = self.folders
        return f.inbox, f.work, f.processed, f.errors, f.reports

    @cached_property
    def there(self) -> tuple[Path, ...]:
        """Those that are there and may be seen."""
        return tuple(folder for folder in self.all_folders if os.path.isdir(folder))  # noqa: PTH112  (never raises)

    def present(self, folder: Path) -> Path:
        """A folder that is there.

        Raises:
            NotLooked: it is not.
        """
        if folder in self.there:
            return folder
        raise NotLooked(f"{folder.name} is not there" if self.there else "there are no folders to look at")

    @cached_property
    def trial(self) -> Trial | OSError:
        """What the daemon does with files, tried; or why no file could be made.

        Raises:
            NotLooked: there is no ``.work/``.
        """
        self.present(self.folders.work)
        try:
            return trial(self.folders, self.settings.settle.temporary_names)
        except OSError as error:
            return error

    @property
    def tried(self) -> Trial:
        """What the daemon does with files, tried.

        Raises:
            NotLooked: it could not be.
        """
        if isinstance(self.trial, OSError):
            raise NotLooked("not tried: no file can be made in .work")
        return self.trial

    @cached_property
    def daemon(self) -> int | None:
        """A process that watches the inbox; None: none that we may see."""
        if isinstance(self.loaded, ConfigError) or self.folders.inbox not in self.there:
            return None
        inode = self.folders.inbox.stat().st_ino
        return next((w.pid for w in self.processes.watching if inode in w.inodes), None)

    @cached_property
    def answer(self) -> dict[str, Any] | None:
        """What the daemon says of itself (see ``daemon.health.ask``); None: there is nowhere to ask."""
        from daemon.health.ask import asked  # noqa: PLC0415  (most sites have no such place)

        return asked(self.settings.health.listen)

    # ---- the database

    @cached_property
    def examined(self) -> "Database | Unreachable":
        """What the database says, or why it says nothing."""
        from daemon.store.examine import examine  # noqa: PLC0415  (the host's checks need no database)

        patience = min(self.settings.database.busy_timeout_seconds, _LONGEST_WAIT)
        return examine(self.settings.database_url, patience_seconds=patience, deep=self.deep)

    @property
    def database(self) -> "Database":
        """What the database says.

        Raises:
            NotLooked: it does not answer.
        """
        from daemon.store.facts import Unreachable  # noqa: PLC0415

        if isinstance(self.examined, Unreachable):
            missing = self.examined.missing
            raise NotLooked(f"not looked at: the database {'is not there' if missing else 'does not answer'}")
        return self.examined

    # ---- commands to be copied

    def as_user(self, uid: int) -> str:
        """The command line that looks as another user."""
        sudo = "sudo" if uid == 0 else f"sudo -u {user_name(uid)}"
        return f"{sudo} {self.command('doctor')}"

    def command(self, words: str) -> str:
        """A command line of this program, for this configuration."""
        config = f"--config {shlex.quote(str(self.file))} " if self.config else ""
        return f"stockgrip {config}{words}"


def _flat(content: object, prefix: str = "") -> dict[str, Any]:
    if not isinstance(content, dict):
        return {}
    found: dict[str, Any] = {}
    for name, value in content.items():
        key = f"{prefix}{name}"
        if key in KEYS:
            found[key] = value
        else:
            found |= _flat(value, f"{key}.")
    return found


def _holds(value: str, name: str, key: str) -> bool:
    """Whether a variable with a whole section as JSON gives this key."""
    try:
        section = json.loads(value)
    except ValueError:
        return False
    depth = name.count("__") + 1
    for part in key.split(".")[depth:]:
        if not isinstance(section, dict) or part not in section:
            return False
        section = section[part]
    return True
