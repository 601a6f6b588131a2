"""PostgreSQL's own part of the database: durability, encoding, rights, connections."""

from collections.abc import Iterator

from daemon.doctor.finding import Check, NotLooked, Remark, fail, ok, warn
from daemon.doctor.site import Site
from daemon.store.examine import sqlite_file
from daemon.store.facts import PostgresFacts

AREA = "database"
_NEEDED, _FEW = 3, 10  # connections: the daemon, a command, and one in reserve


def _facts(site: Site) -> PostgresFacts:
    if sqlite_file(site.settings.database_url) is not None:
        raise NotLooked  # it does not concern this site
    own = site.database.own
    if not isinstance(own, PostgresFacts):
        raise NotLooked  # it does not concern this site
    return own


def _durability(site: Site) -> Iterator[Remark]:
    settings = _facts(site).settings
    weak = [name for name in ("fsync", "full_page_writes", "synchronous_commit") if settings[name] == "off"]
    if weak:
        yield fail(
            f"off: {', '.join(weak)}: after a power failure loaded rows may be gone, whose files have been filed away",
            "Switch them on in psql, and for the database and its user, if they are set there:",
            "; ".join(f"ALTER SYSTEM SET {name} = on" for name in weak) + "; SELECT pg_reload_conf()",
        )
    else:
        yield ok(f"fsync on, full_page_writes on, synchronous_commit {settings['synchronous_commit']}")


def _encoding(site: Site) -> Iterator[Remark]:
    own = _facts(site)
    if own.encoding != "UTF8":
        yield fail(
            f"the database's encoding is {own.encoding}: names with other characters cannot be stored",
            "Make a new one and set database.url:",
            "sudo -u postgres createdb --encoding UTF8 --template template0 --owner stockgrip stockgrip",
        )
    else:
        yield ok(f"UTF8; its time zone is {own.settings['TimeZone']} (times are stored with theirs)")


def _rights(site: Site) -> Iterator[Remark]:
    own = _facts(site)
    well = True
    if own.read_only:
        well = False
        yield fail(
            "the server is a standby, or its transactions are read-only",
            "Name the primary in database.url, or in psql:",
            "ALTER DATABASE stockgrip RESET default_transaction_read_only",
        )
    if not own.may_make_temporary:
        well = False
        yield fail(
            "we may not make temporary tables, in which rows wait until their file is judged",
            "As the database's owner, in psql:",
            "GRANT TEMPORARY ON DATABASE stockgrip TO stockgrip",
        )
    if not own.may_make_tables:
        well = False
        # tables that are there already need it for the next migration only
        yield (warn if site.database.revision == site.database.needed else fail)(
            f"we may not make tables in schema {own.schema or '(none: search_path names none that is there)'}",
            "As its owner, in psql:",
            f"GRANT CREATE, USAGE ON SCHEMA {own.schema or 'public'} TO stockgrip",
        )
    if own.not_ours:
        well = False
        yield fail(
            f"we may not read and write {', '.join(own.not_ours)}",
            "Tables were made by another user. As that user, in psql:",
            f"REASSIGN OWNED BY CURRENT_USER TO stockgrip  -- or GRANT ALL ON {', '.join(own.not_ours)} TO stockgrip",
        )
    if well:
        yield ok("tables, temporary tables, reading and writing")


def _connections(site: Site) -> Iterator[Remark]:
    own = _facts(site)
    most = int(own.settings["max_connections"]) - int(own.settings["superuser_reserved_connections"])
    left = most - own.connections
    said = f"{own.connections} of {most} in use"
    remedy = "End sessions that nobody needs, or raise max_connections (needs a restart of the server). Who has them:"
    command = (
        "psql -c 'SELECT usename, application_name, state, count(*) FROM pg_stat_activity GROUP BY 1, 2, 3'"
    )
    if left < _NEEDED:
        yield fail(said, remedy, command)
    elif left < _FEW:
        yield warn(said, remedy, command)
    else:
        yield ok(said)


def _idle(site: Site) -> Iterator[Remark]:
    idle = _facts(site).idle
    if idle:
        yield warn(
            f"{idle} sessions hold a transaction open and have done nothing for five minutes",
            "They may block a load. Who they are, in psql:",
            "SELECT pid, usename, state_change, query FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'",
        )
    else:
        yield ok("no session holds a transaction open")


CHECKS = (
    Check(
        AREA,
        "durability",
        "PostgreSQL: `fsync`, `full_page_writes` and `synchronous_commit` are on",
        "`ALTER SYSTEM SET … = on; SELECT pg_reload_conf()`",
        _durability,
    ),
    Check(
        AREA,
        "encoding",
        "PostgreSQL: the database's encoding is UTF8; its time zone is shown",
        "Make a new database: `createdb --encoding UTF8 --template template0`",
        _encoding,
    ),
    Check(
        AREA,
        "privileges",
        "PostgreSQL: no standby; we may make tables and temporary tables, and read and write ours",
        "`GRANT` what is missing",
        _rights,
    ),
    Check(
        AREA,
        "connections",
        "PostgreSQL: how many are left; warns below 10, fails below 3",
        "End sessions, or raise `max_connections`",
        _connections,
    ),
    Check(
        AREA,
        "idle sessions",
        "PostgreSQL: sessions that hold a transaction open for more than five minutes without work",
        "End them: they may block a load",
        _idle,
    ),
)
