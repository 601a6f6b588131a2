"""Health: whether the endpoint answers, who may reach it, and what the daemon says of itself."""

import socket
from collections.abc import Iterator

from daemon.alert_settings import is_loopback
from daemon.doctor.finding import Check, NotLooked, Remark, fail, ok, warn
from daemon.doctor.site import Site
from daemon.health_settings import address_of, in_words

AREA = "health"


def _reach(site: Site) -> Iterator[Remark]:
    listen = _listen(site)
    host, _ = address_of(listen)
    if is_loopback(host):
        yield ok(f"{listen} is reached from this host only")
    else:
        yield warn(
            f"{listen} is no address of this host alone: whoever reaches it may read",
            "Set health.listen to 127.0.0.1:9464, or let a firewall keep others out.",
        )


def _endpoint(site: Site) -> Iterator[Remark]:
    listen = _listen(site)
    answer = site.answer or {}
    if answer["ready"] is not None:
        yield ok(f"the daemon answers on {listen}")
        return
    _, port = address_of(listen)
    who = f"sudo ss -ltnp 'sport = :{port}'"
    if answer["answers"]:
        yield fail(str(answer["error"]), "Find who has the port, or set another health.listen:", who)
    elif why := _cannot_have(listen):
        yield fail(f"{listen} cannot be had: {why}", "Find who has it, or set another health.listen:", who)
    elif site.daemon is None:
        yield ok(f"{listen} is free for the daemon")
    else:
        yield fail(
            f"a daemon runs (process {site.daemon}), and nothing answers on {listen}",
            "It may have been started before that was set. Let it read its configuration:",
            "sudo systemctl reload stockgrip; journalctl -u stockgrip --since -5min | grep health_",
        )


def _readiness(site: Site) -> Iterator[Remark]:
    _listen(site)
    answer = site.answer or {}
    if answer["ready"] is None:
        raise NotLooked("not looked at: the daemon does not answer")
    if answer["ready"]:
        yield ok(f"the daemon says that it is ready, and {answer.get('phase', '')}")
    for reason in answer["reasons"]:
        yield warn(
            f"the daemon says that it is not ready: {reason['message']}",
            "docs/health.md says what each reason means; what is wrong stands among the other checks.",
        )


def _listen(site: Site) -> str:
    listen = site.settings.health.listen
    if listen is None:
        raise NotLooked("health.listen is not set: the daemon cannot be asked how it is")
    return listen


def _cannot_have(listen: str) -> str:
    """Why nobody could listen there; "" if it can be done."""
    host, port = address_of(listen)
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        return in_words(error)
    return ""


CHECKS = (
    Check(
        AREA,
        "reach",
        "Whether `health.listen` is an address of this host alone",
        "Set it to `127.0.0.1:9464`: there is no password",
        _reach,
    ),
    Check(
        AREA,
        "endpoint",
        "Whether the daemon answers on `health.listen`; if none runs, tried: whether the port can be had",
        "End the program that `ss -ltnp` names, or set another port and reload",
        _endpoint,
    ),
    Check(
        AREA,
        "readiness",
        "What `/readyz` says",
        "See the reasons in docs/health.md; the other checks say what is wrong",
        _readiness,
    ),
)
