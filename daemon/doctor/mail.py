"""Alerts: whether somebody is told, the secrets are where the settings say, and the mail server takes us."""

import stat
from collections.abc import Iterator

from daemon.alert_settings import MailSettings, WebhookSettings
from daemon.doctor.finding import Check, NotLooked, Remark, fail, ok, warn
from daemon.doctor.site import Site
from daemon.doctor.words import quoted

AREA = "alerts"
_LONGEST = 15.0  # seconds: a person sits before the screen


def _channels(site: Site) -> Iterator[Remark]:
    alerts = site.settings.alerts
    away = [name for name in alerts.channels if name != "log"]
    if away:
        yield ok(f"alerts go out by {', '.join(alerts.channels)}")
    else:
        said = "alerts are written into the log only" if alerts.log else "nobody is told of alerts"
        yield warn(
            f"{said}: a refused file is found by whoever looks",
            "Set alerts.mail.host, sender and to, or alerts.webhook.url; then try it:",
            site.command("alerts test"),
        )


def _secrets(site: Site) -> Iterator[Remark]:
    alerts = site.settings.alerts
    said = [*_secret(site, "mail", alerts.mail), *_secret(site, "webhook", alerts.webhook)]
    if not said:
        raise NotLooked  # there are none
    yield from said


def _secret(site: Site, name: str, section: MailSettings | WebhookSettings) -> Iterator[Remark]:
    from daemon.alerts.secret import SecretUnreadable, place_of, read_secret  # noqa: PLC0415

    word = "password" if isinstance(section, MailSettings) else "secret"
    env, file, credential = (getattr(section, f"{word}_{source}") for source in ("env", "file", "credential"))
    if env is file is credential is None:
        return
    try:
        read_secret(env, file, credential, site.environ)
        path = place_of(env, file, credential, site.environ)
    except SecretUnreadable as error:
        if credential and not site.environ.get("CREDENTIALS_DIRECTORY"):
            yield warn(
                f"{name}: the {word} is a credential of systemd, which only the service is given",
                "Let the service try it, as its log shows; or look with systemd's own:",
                f"sudo systemd-run --pipe -p LoadCredential={credential}:/etc/stockgrip/{credential} {site.command('doctor')}",
            )
            return
        yield fail(
            f"{name}: {error}", f"Put the {word} there, or correct alerts.{name}.{word}_…; letters wait."
        )
        return
    if path is None:
        yield ok(f"{name}: the {word} is in variable {env}")
    elif path.stat().st_mode & stat.S_IROTH:
        yield fail(
            f"{name}: everybody may read {path}",
            "Let only the daemon's user read it:",
            f"chmod 600 {quoted(path)}",
        )
    else:
        yield ok(f"{name}: {path} is readable by its user only")


def _server(site: Site) -> Iterator[Remark]:
    mail = site.settings.alerts.mail
    if mail.host is None:
        raise NotLooked  # there is no mail
    if not site.deep:
        raise NotLooked("the mail server is tried with --deep only")
    from daemon.alerts.sending import Deadline, NotSent  # noqa: PLC0415
    from daemon.alerts.smtp import greet  # noqa: PLC0415
    from daemon.errors import TransientError  # noqa: PLC0415

    try:
        with Deadline(min(mail.deadline_seconds, _LONGEST)) as deadline:
            greet(mail, deadline, site.environ)
    except TransientError as error:
        remedy = "Correct alerts.mail; letters wait meanwhile, none is lost."
        yield fail(str(error), remedy if isinstance(error, NotSent) else "Put the password there.")
        return
    how = {"none": "without TLS", "starttls": "with STARTTLS", "tls": "with TLS"}[mail.security]
    login = f", and lets {mail.username} in" if mail.username else ""
    yield ok(f"tried: {mail.host}:{mail.port} answers {how}{login}")


CHECKS = (
    Check(
        AREA,
        "channels",
        "Whether alerts go further than the log",
        "Set `alerts.mail` or `alerts.webhook`; try it with `stockgrip alerts test`",
        _channels,
    ),
    Check(
        AREA,
        "secrets",
        "Whether the password of the mail server and the webhook's key are where the settings say, and not for everybody to read",
        "Put it there; `chmod 600` the file",
        _secrets,
    ),
    Check(
        AREA,
        "mail server",
        "With `--deep`: tried without sending: whether it answers, its certificate is trusted, and it lets us in",
        "Correct `alerts.mail`; the message says what is wrong",
        _server,
    ),
)
