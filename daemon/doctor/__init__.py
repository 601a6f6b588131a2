"""What is wrong with this host: the checks behind ``stockgrip doctor``.

``ALL`` is the list, in the order in which it is printed. Each check (``finding.py``) looks at one thing of the site
(``site.py``) and says ok, warn, fail, or that there was nothing to look at; a check that breaks is a finding, too, and
the others go on. What costs something, or must be done only once, is gathered by the site: the trial in the data folder
(``trial.py``), the questions to the database (``daemon.store.examine``), the look into /proc (``processes.py``). Nothing is made
that was not there: no folder, no database, no migration.
"""

from daemon.doctor import (
    clock,
    configuration,
    database,
    filesystem,
    folders,
    following,
    health,
    host,
    leftovers,
    mail,
    oddities,
    senders,
    server,
    sqlite,
)
from daemon.doctor.finding import Check, Finding, examined
from daemon.doctor.site import Site

ALL: tuple[Check, ...] = (
    *configuration.CHECKS,
    *oddities.CHECKS,
    *folders.CHECKS,
    *senders.CHECKS,
    *filesystem.CHECKS,
    *host.CHECKS,
    *clock.CHECKS,
    *database.CHECKS,
    *sqlite.CHECKS,
    *server.CHECKS,
    *following.CHECKS,
    *mail.CHECKS,
    *health.CHECKS,
    *leftovers.CHECKS,
)


def examine(site: Site) -> list[Finding]:
    """Does all checks."""
    return [finding for check in ALL for finding in examined(check, site)]


def is_well(findings: list[Finding]) -> bool:
    """Whether nothing failed; warnings alone are no failure."""
    return all(finding.state != "fail" for finding in findings)


__all__ = ["ALL", "Check", "Finding", "Site", "examine", "is_well"]
