"""Every setting: its name, default, limits and meaning. `daemon.config` reads them from the file and environment."""

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from encodings.aliases import aliases
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeAlias, get_args
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from daemon.alert_settings import AlertSettings
from daemon.backup_settings import BackupSettings
from daemon.health_settings import HealthSettings
from daemon.outbox_settings import OutboxSettings
from daemon.quality_settings import QualitySettings
from daemon.retention_settings import RetentionSettings
from daemon.section import Section as _Section
from daemon.workflow_settings import WorkflowSettings

PREFIX: Final = "STOCKGRIP_"
ALLOWED_URLS: Final = (
    "allowed: sqlite:///folder/file.db (relative), sqlite:////folder/file.db (absolute), "
    "postgresql://user:password@host:5432/name, postgresql+psycopg://…; "
    "write @ : / ? # % in a password percent-encoded (@ as %40)"
)

# SQLAlchemy's own URL grammar, narrowed to what cannot be misread: a digit port, no second @.
_POSTGRES_URL: Final = re.compile(
    r"postgres(?:ql(?:\+psycopg)?)?://(?P<rest>(?:[^:/?@\s]*(?::[^@\s]*)?@)?"
    r"(?:\[[^]/?@\s]+]|[^][/:?@\s]*)(?::\d{1,5})?(?:/[^?@\s]*)?(?:\?\S*)?)"
)
SQLITE: Final = "sqlite:///"


def safe_url(text: str) -> str:
    """The text with each password of a database URL in it replaced by `***`; all else as it was."""
    # Greedy up to the last @: an unescaped @ in a password must not leave half of it standing.
    masked = re.sub(r"(?<=://)([^:@\s]*):.*@", r"\1:***@", text, flags=re.DOTALL)
    return re.sub(r"(?i)(password=)[^&\s]*", r"\1***", masked)


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name most like the one given: as a whole, or in its last part (`url` for `database.url`)."""
    from difflib import SequenceMatcher  # noqa: PLC0415  (25 ms that only a mistake costs)

    def likeness(candidate: str) -> float:
        one, other = name.lower(), candidate.lower()
        whole = SequenceMatcher(None, one, other).ratio()
        tail = SequenceMatcher(None, re.split(r"[./]", one)[-1], re.split(r"[./]", other)[-1]).ratio()
        return max(whole, 0.95 * tail)

    return max(sorted(known, key=lambda candidate: (candidate.count("."), candidate)), key=likeness)


def _existing_timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # OSError: a folder of zones, such as `Europe`
        meant = nearest(name, available_timezones())
        raise ValueError(f"must be a name of the IANA time zone database; did you mean {meant}?") from None
    return name


def _known_encoding(name: str) -> str:
    try:
        "".encode(name)  # codecs.lookup would also accept `hex` and `rot13`, which decode no text
    except (LookupError, ValueError):
        meant = nearest(name, {*aliases, *aliases.values()})
        raise ValueError(f"must be a text encoding that Python knows; did you mean {meant}?") from None
    return codecs.lookup(name).name


def _compiling_pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"must be a regular expression: {error}") from None
    return pattern


def _plain_path(path: object) -> object:
    text = str(path)
    if not text or text.startswith("~") or "\0" in text:
        raise ValueError("must be a folder, written out: not empty, no ~, no NUL")
    return path


def _supported_url(url: str) -> str:
    """Check a database URL and normalise its scheme. The message never repeats the URL: it holds a password."""
    if match := _POSTGRES_URL.fullmatch(url):
        return f"postgresql+psycopg://{match['rest']}"
    file = url.removeprefix(SQLITE)
    special = (
        not file
        or file.endswith("/")
        or file.startswith(("~", ":memory:", "file:"))
        or re.search(r"[?\0]", file)
    )
    if url.startswith(SQLITE) and not special:
        return url
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*(?=://)", url)
    received = f"received {scheme[0]}://…" if scheme else "received a value without a scheme"
    raise ValueError(f"{received} (hidden, it may hold a password), {ALLOWED_URLS}")


class DatabaseSettings(_Section):
    """Where the rows go."""

    url: Annotated[str, AfterValidator(_supported_url)] | None = Field(
        default=None,
        description="SQLite file or PostgreSQL database; null is `sqlite:///<data_dir>/stockgrip.db`",
    )
    busy_timeout_seconds: float = Field(
        default=10.0,
        ge=0,
        le=3600,
        description="How long to wait for a database that another process holds locked",
    )

    def __repr_args__(self) -> Iterator[tuple[str, object]]:
        yield "url", None if self.url is None else safe_url(self.url)
        yield "busy_timeout_seconds", self.busy_timeout_seconds


class SettleSettings(_Section):
    """When a file counts as completely written."""

    quiet_seconds: float = Field(
        default=2.0, ge=0, description="A file must lie this long without a change before it is taken"
    )
    ready_on: Literal["quiet", "close"] = Field(
        default="quiet",
        description="`close` takes a file at once when it was renamed in, or no writer has it open "
        "and its last line ends; `quiet` always waits `quiet_seconds`",
    )
    grace_seconds: float = Field(
        default=10.0,
        ge=0,
        description="A file without a final newline or with a NUL tail must lie this long instead",
    )
    scan_seconds: float = Field(
        default=30.0,
        gt=0,
        le=3600,
        description="Period of the full look into the folder; events are only hints",
    )
    watch: Literal["auto", "inotify", "poll"] = Field(
        default="auto",
        description="`inotify` listens to the kernel's file events, `poll` looks every `poll_seconds`; "
        "`auto` polls where the folder's filesystem gives no events (NFS, SMB, sshfs …)",
    )
    poll_seconds: float = Field(
        default=2.0, gt=0, le=3600, description="Period of the full look while there are no events"
    )
    canary_seconds: float = Field(
        default=60.0,
        ge=0,
        le=86_400,
        description="How often a file is made and removed to see that events arrive; 0 is never",
    )
    sftp_log: Path | None = Field(
        default=None,
        description="File in which a syslog daemon keeps what `internal-sftp -l INFO` or `-l VERBOSE` says: an upload that broke off "
        "is known by it, and not taken; null does without",
    )
    temporary_names: tuple[str, ...] = Field(
        default=(
            *(".*", "*.filepart", "*.part", "*.partial", "*.tmp", "*.temp", "*.writing", "*.crdownload"),
            *("~$*", "*~", "*.swp", "Thumbs.db", "desktop.ini"),
        ),
        description="Names (globs) that upload programs and desktops use for unfinished files; never taken",
    )


class LimitSettings(_Section):
    """What a file may cost before it is refused."""

    max_file_bytes: int = Field(
        default=2_147_483_648, ge=1, description="Largest file as it lies on disk (2 GiB)"
    )
    max_unpacked_bytes: int = Field(
        default=4_294_967_296, ge=1, description="Largest content of a .gz or .zst file once unpacked (4 GiB)"
    )
    max_ratio: int = Field(
        default=200,
        ge=1,
        description="Largest unpacked/packed ratio, judged once more than 16 MiB are unpacked",
    )
    max_rejects: int = Field(
        default=10, ge=0, description="This many rejected rows never refuse a whole file"
    )
    max_reject_share: float = Field(
        default=0.10,
        ge=0,
        le=1,
        description="A file is refused above max(`max_rejects`, this share of its rows)",
    )
    min_correction_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="A correction with less than this share of the rows it replaces is held in errors/; 0 lets all in",
    )
    max_processing_time_minutes: float = Field(
        default=60.0,
        gt=0,
        le=1440,
        description="A delivery that takes longer is abandoned: rolled back, and held in errors/",
    )


Evidence: TypeAlias = Literal["quiet", "lease", "rename", "marker", "manifest"]
EVIDENCE: Final[tuple[Evidence, ...]] = get_args(Evidence)


@dataclass(frozen=True, slots=True)
class CompleteWhen:
    """What tells that a file of a feed is complete.

    Attributes:
        need: whether one of ``of`` is enough.
        of: kinds of evidence (see docs/senders.md).
    """

    need: Literal["any", "all"]
    of: tuple[Evidence, ...]


def _complete_when(value: object) -> object:
    """``{any: […]}`` or ``{all: […]}``, or the same as one text: ``any […]``."""
    if value is None or isinstance(value, CompleteWhen):
        return value
    if isinstance(value, str) and (match := re.fullmatch(r"\s*(any|all)\s*\[([^][]*)]\s*", value)):
        value = {match[1]: [word.strip() for word in match[2].split(",")]}
    known = ", ".join(EVIDENCE)
    if not isinstance(value, dict) or len(value) != 1 or not value.keys() <= {"any", "all"}:
        raise ValueError(f"must be {{any: […]}} or {{all: […]}} with one or more of {known}")
    ((need, words),) = value.items()
    if not isinstance(words, list | tuple) or not words:
        raise ValueError(f"{need} must be a list of one or more of {known}")
    for word in words:
        if word not in EVIDENCE:
            meant = nearest(str(word), EVIDENCE)
            raise ValueError(f"{need} may list {known}; did you mean {meant} by {str(word)[:60]!r}?")
    return CompleteWhen(need, tuple(kind for kind in EVIDENCE if kind in words))


class FeedSettings(_Section):
    """How files of a feed are recognised and read."""

    patterns: tuple[Annotated[str, AfterValidator(_compiling_pattern)], ...] = Field(
        description="Regular expressions for the whole name before the extension; without a group `date` "
        "a delivery has no slot; an empty list switches the feed off"
    )
    encoding: Annotated[str, AfterValidator(_known_encoding)] | None = Field(
        default=None,
        description="Codec for files that are neither UTF-8 nor UTF-16 with a mark; null refuses such files",
    )
    complete_when: Annotated[CompleteWhen | None, BeforeValidator(_complete_when)] = Field(
        default=None,
        description="What tells that a file is complete: `{any: […]}` or `{all: […]}` of `quiet`, `lease`, `rename`, "
        "`marker`, `manifest`; null goes by `settle.ready_on`",
    )


def _patterns(prefix: str) -> Any:
    default = (prefix + r"_(?P<date>\d{8})(?:_(?P<suffix>.+))?",)
    return Field(default=default, description=FeedSettings.model_fields["patterns"].description)


class SalesFeedSettings(FeedSettings):
    """The sales feed."""

    patterns: tuple[Annotated[str, AfterValidator(_compiling_pattern)], ...] = _patterns("sales_data")
    returns: Literal["reject", "accept"] = Field(
        default="reject",
        description="`accept` loads rows with negative quantity and negative revenue as returns",
    )


class InventoryFeedSettings(FeedSettings):
    """The inventory feed."""

    patterns: tuple[Annotated[str, AfterValidator(_compiling_pattern)], ...] = _patterns("inventory_data")


class DemandFeedSettings(FeedSettings):
    """The demand feed."""

    patterns: tuple[Annotated[str, AfterValidator(_compiling_pattern)], ...] = _patterns("demand_data")


class ProductsFeedSettings(FeedSettings):
    """The products feed."""

    patterns: tuple[Annotated[str, AfterValidator(_compiling_pattern)], ...] = _patterns("products")


class FeedsSettings(_Section):
    """One section per feed; `dict(settings.feeds)` gives them by name."""

    sales: SalesFeedSettings = SalesFeedSettings()
    inventory: InventoryFeedSettings = InventoryFeedSettings()
    demand: DemandFeedSettings = DemandFeedSettings()
    products: ProductsFeedSettings = ProductsFeedSettings()


class RetrySettings(_Section):
    """How the daemon meets a failing database or disk: exponential waits with jitter."""

    attempts: int = Field(
        default=3, ge=1, description="Tries before intake pauses; then one every `max_seconds`"
    )
    initial_seconds: float = Field(
        default=0.2, gt=0, description="First wait; each further one is about twice as long"
    )
    max_seconds: float = Field(default=15.0, gt=0, le=3600, description="Longest wait between two tries")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max_seconds < self.initial_seconds:
            raise ValueError(
                f"max_seconds ({self.max_seconds:g}) must be at least initial_seconds ({self.initial_seconds:g})"
            )
        return self


class FeatureSettings(_Section):
    """The features of products."""

    keep_days: int = Field(
        default=90,
        ge=1,
        le=3660,
        description="Features of days longer ago than this are removed; counted from the newest day with data",
    )
    stock_fresh_days: int = Field(
        default=1,
        ge=0,
        le=27,
        description="How many days old the latest stock level of a product may be; older: `on_hand` and what follows from it have no value",
    )


class LogSettings(_Section):
    """What is logged, and how it looks."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is logged"
    )
    format: Literal["auto", "json", "console"] = Field(
        default="auto", description="`auto` writes for people on a terminal and JSON lines elsewhere"
    )


class Settings(_Section, BaseSettings):
    """Every setting. `Settings(…)` itself reads neither file nor environment: `load_settings` does."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", validate_default=True)

    data_dir: Annotated[Path, BeforeValidator(_plain_path)] = Field(
        default=Path("data"),
        description="Holds live_feeds/, .work/, processed/, errors/ and reports/: one filesystem",
    )
    timezone: Annotated[str, AfterValidator(_existing_timezone)] = Field(
        default="UTC", description="Business time zone (IANA name): dates with an offset are converted to it"
    )
    database: DatabaseSettings = DatabaseSettings()
    settle: SettleSettings = SettleSettings()
    limits: LimitSettings = LimitSettings()
    feeds: FeedsSettings = FeedsSettings()
    retry: RetrySettings = RetrySettings()
    alerts: AlertSettings = AlertSettings()
    quality: QualitySettings = QualitySettings()
    features: FeatureSettings = FeatureSettings()
    backup: BackupSettings = BackupSettings()
    retention: RetentionSettings = RetentionSettings()
    workflow: WorkflowSettings = WorkflowSettings()
    outbox: OutboxSettings = OutboxSettings()
    health: HealthSettings = HealthSettings()
    log: LogSettings = LogSettings()

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL in force, password included: never print it, print `safe_database_url`."""
        return self.database.url or f"{SQLITE}{quoted(self.data_dir)}/stockgrip.db"

    @property
    def safe_database_url(self) -> str:
        """`database_url` with its password masked, for people and logs."""
        return safe_url(self.database_url)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  (the names are pydantic-settings')
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is passed in: the environment is an argument of `load_settings`, not a hidden input."""
        return (init_settings,)


def quoted(path: Path) -> str:
    """The path as it stands in a database URL, where `%` and `?` have a meaning of their own."""
    return str(path).replace("%", "%25").replace("?", "%3F")
