"""The settings of alerts: whom they are told, how, and how often. Secrets are named here, never held."""

import re
from collections.abc import Iterator
from datetime import time
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from daemon.section import Section

_ADDRESS: Final = re.compile(r"[^\s@<>(),;:\"\\\x00-\x1f\x7f]{1,64}@[^\s@<>(),;:\"\\\x00-\x1f\x7f]{1,255}")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LOOPBACK: Final = re.compile(r"localhost|127\.\d+\.\d+\.\d+|::1|\[::1]", re.IGNORECASE)


def is_loopback(host: str) -> bool:
    """Whether what is sent to a host stays on this one."""
    return _LOOPBACK.fullmatch(host) is not None


def _address(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        raise ValueError("must be a plain mail address such as ops@example.org, without a name or brackets")
    return text


def _variable(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise ValueError("must be the name of an environment variable, not the secret itself")
    if name.upper().startswith("STOCKGRIP_"):
        raise ValueError("must not begin with STOCKGRIP_, which is for settings; such as MAIL_PASSWORD")
    return name


def _credential(name: str) -> str:
    if not name or "/" in name or name.startswith("."):
        raise ValueError("must be the name of a systemd credential (LoadCredential=NAME:…), not a path")
    return name


def _minutes(value: object) -> object:
    """YAML reads an unquoted 17:30 as a number of minutes."""
    if isinstance(value, int) and 60 <= value < 24 * 60:  # noqa: PLR2004  (a number below is no time)
        return f"{value // 60:02}:{value % 60:02}"
    return value


def _time_of_day(text: str) -> str:
    try:
        time.fromisoformat(text)
    except ValueError:
        raise ValueError("must be a time of the day such as 07:00") from None
    if not re.fullmatch(r"\d\d:\d\d", text):
        raise ValueError("must be a time of the day such as 07:00")
    return text


def _web_address(text: str) -> str:
    try:
        parts = urlsplit(text)
        host, _port = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host or re.search(r"[\s\x00-\x1f\x7f]", text):
        raise ValueError("must be https://host/… (or http:// to this host)")
    if parts.username or parts.password:
        raise ValueError("must not hold a user or a password; sign with webhook.secret_… instead")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("must be https:// unless it is on this host: alerts name files and figures")
    return text


Secret = Annotated[str, AfterValidator(_variable)] | None
Credential = Annotated[str, AfterValidator(_credential)] | None
_FROM_VARIABLE: Final = (
    "Name of the environment variable that holds the {}; not one that begins with `STOCKGRIP_`"
)
_FROM_FILE: Final = "File that holds the {}, on its first line; readable by the daemon's user only"
_FROM_CREDENTIAL: Final = "Name of the systemd credential that holds the {} (`LoadCredential=`)"


def _only_one(section: Section, prefix: str) -> int:
    names = [f"{prefix}_{where}" for where in ("env", "file", "credential")]
    given = [name for name in names if getattr(section, name) is not None]
    if len(given) > 1:
        raise ValueError(f"take the {prefix} from one place: {' and '.join(given)} are set")
    return len(given)


class MailSettings(Section):
    """Letters by SMTP."""

    host: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="Mail server (SMTP); null sends no mail"
    )
    port: int = Field(
        default=587, ge=1, le=65_535, description="Its port: 587 for `starttls`, 465 for `tls`, 25 for `none`"
    )
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls",
        description="`starttls` encrypts before anything is said, `tls` from the first byte; the certificate is "
        "checked. `none` is for a server on this host or in a closed network, and never with a password",
    )
    ca_file: Path | None = Field(
        default=None,
        description="Certificates (PEM) that vouch for the server, for one of your own; null: those of this host",
    )
    username: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="Name to log in with; null does not log in"
    )
    password_env: Secret = Field(default=None, description=_FROM_VARIABLE.format("password"))
    password_file: Path | None = Field(default=None, description=_FROM_FILE.format("password"))
    password_credential: Credential = Field(default=None, description=_FROM_CREDENTIAL.format("password"))
    sender: Annotated[str, AfterValidator(_address)] | None = Field(
        default=None, description="Address in From, and for what cannot be delivered; needed with `host`"
    )
    to: tuple[Annotated[str, AfterValidator(_address)], ...] = Field(
        default=(), description="Addresses that get the letters; needed with `host`"
    )
    timeout_seconds: float = Field(
        default=15.0, gt=0, le=600, description="How long the server may take over one answer"
    )
    deadline_seconds: float = Field(
        default=60.0, gt=0, le=3600, description="How long one letter may take in all, however slowly it goes"
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        sources = _only_one(self, "password")
        if self.host is None:
            return self
        missing = [name for name in ("sender", "to") if not getattr(self, name)]
        if missing:
            raise ValueError(f"host is set, so {' and '.join(missing)} must be set too")
        if (self.username is not None) != bool(sources):
            raise ValueError(
                "username and one of password_env, password_file, password_credential go together"
            )
        if self.username is not None and self.security == "none" and not is_loopback(self.host):
            raise ValueError(
                "security none would send the password readably over the network: use starttls or tls"
            )
        return self


class WebhookSettings(Section):
    """Letters by HTTP POST."""

    url: Annotated[str, AfterValidator(_web_address)] | None = Field(
        default=None,
        description="Where to POST alerts as JSON; null does not; never shown, it may hold a key",
    )
    ca_file: Path | None = Field(
        default=None,
        description="Certificates (PEM) that vouch for the server, for one of your own; null: those of this host",
    )
    secret_env: Secret = Field(default=None, description=_FROM_VARIABLE.format("key that signs"))
    secret_file: Path | None = Field(default=None, description=_FROM_FILE.format("key that signs"))
    secret_credential: Credential = Field(default=None, description=_FROM_CREDENTIAL.format("key that signs"))
    timeout_seconds: float = Field(
        default=15.0, gt=0, le=600, description="How long one letter may take in all"
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        _only_one(self, "secret")
        return self

    def __repr_args__(self) -> Iterator[tuple[str, object]]:
        for name, value in super().__repr_args__():
            yield str(name), "***" if name == "url" and value is not None else value


class AlertSettings(Section):
    """Who is told what needs a person, and how often."""

    log: bool = Field(
        default=True, description="Write each alert into the log, when it is told and when it ends"
    )
    group_seconds: float = Field(
        default=30.0,
        ge=0,
        le=3600,
        description="How long an alert waits for others of its feed, to go into one letter; a critical one 5 at most",
    )
    repeat_hours: float = Field(
        default=24.0,
        gt=0,
        le=8760,
        description="An alert that lasts and that nobody acknowledged is told again",
    )
    digest_at: Annotated[str, BeforeValidator(_minutes), AfterValidator(_time_of_day)] = Field(
        default="07:00", description="When info alerts go out in one letter, in the business time zone"
    )
    letters_an_hour: int = Field(
        default=20,
        ge=1,
        le=1000,
        description="Most letters in an hour; the last of them tells all that is left",
    )
    mail: MailSettings = MailSettings()
    webhook: WebhookSettings = WebhookSettings()

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels that are switched on: of ``log``, ``webhook``, ``mail``, the fastest first."""
        on = (("log", self.log), ("webhook", self.webhook.url), ("mail", self.mail.host))
        return tuple(name for name, value in on if value)

    def anchored(self, folder: Path) -> "AlertSettings":
        """The same with relative paths of files made absolute, from a folder."""
        changed = {}
        for name, section in (("mail", self.mail), ("webhook", self.webhook)):
            files = {
                key: folder / value
                for key in type(section).model_fields
                if key.endswith("_file") and (value := getattr(section, key)) is not None
            }
            changed[name] = section.model_copy(update=files)
        return self.model_copy(update=changed)
