"""Configuration: where it comes from."""

import json
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from daemon.config import variable_name
from daemon.doctor.finding import Check, Remark, fail, ok, skip, warn
from daemon.doctor.site import Site
from daemon.doctor.words import quoted
from daemon.errors import ConfigError
from daemon.settings import safe_url

AREA = "configuration"
_WORLD = 0o004


def _file(site: Site) -> Iterator[Remark]:
    if isinstance(site.loaded, ConfigError):
        yield fail(str(site.loaded), "Correct it; docs/configuration.md has every setting.")
    elif site.file is not None:
        yield ok(str(site.file))
    elif (installed := site.etc / "config.yaml").exists():
        yield warn(
            f"none given and none in {Path.cwd()}: these are the defaults, but the service reads {installed}",
            "Look at the service's site instead:",
            f"stockgrip --config {quoted(installed)} doctor",
        )
    else:
        yield ok(f"none given and none in {Path.cwd()}: the defaults")


def _environment(site: Site) -> Iterator[Remark]:
    over = [key for key in site.in_environment if key in site.in_file and _differ(site, key)]
    for key in over:
        name = site.in_environment[key]
        yield warn(f"{name} goes before {key} of {site.file}", "Keep one of the two.", f"unset {name}")
    if not over:
        given = sorted(set(site.in_environment.values()))
        yield ok(", ".join(given) if given else "no variable sets anything")


def _differ(site: Site, key: str) -> bool:
    value: object = site.settings
    if site.environ[site.in_environment[key]] == str(site.in_file[key]):
        return False
    for part in key.split("."):
        value = getattr(value, part)
    in_file = site.in_file[key]
    return str(value) != str(in_file) and json.dumps(value, default=str) != json.dumps(in_file, default=str)


def _service_environment(site: Site) -> Iterator[Remark]:
    """The unit reads variables from a file that a shell does not have."""
    file = site.etc / "environment"
    try:
        lines = file.read_text("utf-8").splitlines()
    except FileNotFoundError:
        yield ok(f"there is no {file}")
        return
    except PermissionError:
        yield skip(
            f"{file} is there, and not readable for us: the service may have other settings than these"
        )
        return
    names = [
        line.split("=")[0].strip() for line in lines if line.strip().startswith("STOCKGRIP_") and "=" in line
    ]
    away = [name for name in names if name not in site.environ]
    if not away:
        yield ok(f"what {file} sets is set here, too")
        return
    yield warn(
        f"the service has {', '.join(away)} from {file}; this shell has not: it looks at another site",
        "Read the file first, in this shell:",
        f"set -a; . {quoted(file)}; set +a",
    )


def _data_dir(site: Site) -> Iterator[Remark]:
    folder = site.settings.data_dir
    if site.file is None and not Path(site.environ.get(variable_name("data_dir"), "")).is_absolute():
        yield warn(
            f"{folder}, because this is the current folder: a start from another one works elsewhere",
            "Write data_dir as an absolute path, or name a configuration file with --config.",
        )
    else:
        yield ok(str(folder))


def _secrets(site: Site) -> Iterator[Remark]:
    url = site.in_file.get("database.url")
    secret = isinstance(url, str) and safe_url(url) != url
    if site.file is None or not secret:
        yield ok("no password in the configuration file")
    elif site.file.stat().st_mode & _WORLD:
        yield warn(
            f"{site.file} holds the database's password, and every user may read it",
            f"Set {variable_name('database.url')} for the service instead, or:",
            f"chmod o-r {quoted(site.file)}",
        )
    else:
        yield ok(f"{site.file} holds the database's password and is not for everybody")


def _packages(_site: Site) -> Iterator[Remark]:
    try:
        other = metadata.version("python-daemon")
    except metadata.PackageNotFoundError:
        yield ok("no other package is called `daemon`")
        return
    yield fail(
        f"python-daemon {other} is installed, too: it writes its `daemon` package over ours",
        "Remove it and install this program again, in a virtual environment of its own:",
        "python -m pip uninstall python-daemon",
    )


CHECKS = (
    Check(
        AREA,
        "file",
        "Which configuration file is in force, and whether it and the `STOCKGRIP_` variables can be read",
        "Correct what the message names, or name the right file with `--config`",
        _file,
    ),
    Check(
        AREA,
        "environment",
        "Variables that go before another value in the file",
        "Keep one of the two",
        _environment,
    ),
    Check(
        AREA,
        "service",
        "Variables in `/etc/stockgrip/environment` that this shell has not",
        "Read that file first: `set -a; . /etc/stockgrip/environment; set +a`",
        _service_environment,
    ),
    Check(
        AREA,
        "data_dir",
        "Whether `data_dir` depends on the folder that the program is started in",
        "Write it as an absolute path, or use `--config`",
        _data_dir,
    ),
    Check(
        AREA,
        "password",
        "Whether everybody may read a configuration file that holds a password",
        "Use `STOCKGRIP_DATABASE__URL`, or `chmod o-r`",
        _secrets,
    ),
    Check(
        AREA,
        "packages",
        "Whether PyPI's `python-daemon`, whose package is called `daemon` too, is installed beside us",
        "Remove it, and install this program again in its own virtual environment",
        _packages,
    ),
)
