"""Letters by mail: the message, and its way to the server."""

import base64
import contextlib
import os
import smtplib
import socket
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any, Self

from daemon.alert_settings import MailSettings
from daemon.alerts.secret import read_secret
from daemon.alerts.sending import Deadline, NotSent, Sent, in_words, trusting
from daemon.logs import display_name
from handlers.alerts.letter import compose, shown
from handlers.alerts.markup import html_of

_POLICY = SMTP.clone(cte_type="7bit")
_FOLDED = _POLICY.clone(
    max_line_length=200
)  # a subject stays on one line: some programs show a fold as a blank
_READY, _OK, _FORWARDED, _LOGGED_IN = 220, 250, 251, 235
_TEMPORARY = range(400, 500)
_SHOWN = 200  # characters of what a server said


def message_of(facts: Mapping[str, Any], mail: MailSettings) -> EmailMessage:
    """The message of a letter; the same whenever it is made.

    Args:
        facts: what it tells.
        mail: whose ``sender`` and ``to`` it bears.
    """
    letter = compose(facts)
    message = EmailMessage(policy=_POLICY)
    message["From"] = f"Stock GRIP Live <{mail.sender}>"
    message["To"] = ", ".join(mail.to)
    message["Subject"] = letter.subject
    message["Date"] = datetime.fromisoformat(facts["created_at"])
    message["Message-ID"] = message_id(facts["letter"], mail)
    threads = [message_id(parent, mail) for parent in facts["replies_to"]]
    if threads:
        message["In-Reply-To"] = threads[-1]
        message["References"] = " ".join(threads)
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    if facts["severity"] == "critical" and facts["kind"] != "resolved":
        message["Importance"] = "high"
    for name in ("letter", "kind", "severity", "feed", "host"):
        if facts[name]:
            message[f"X-Stockgrip-{name.capitalize()}"] = shown(facts[name])
    message.set_content(letter.text, cte="quoted-printable")
    message.add_alternative(html_of(letter), subtype="html", cte="quoted-printable")
    return message


def message_id(letter: str, mail: MailSettings) -> str:
    """The Message-ID of a letter, in the domain of whoever sends it."""
    return f"<stockgrip.{letter}@{str(mail.sender).rpartition('@')[2]}>"


def send(facts: Mapping[str, Any], mail: MailSettings, deadline: Deadline, done: Sequence[str] = ()) -> Sent:
    """Sends a letter to those who have not got it yet.

    Args:
        facts: what it tells.
        mail: the server, and whom it is for.
        deadline: cuts the connection.
        done: recipients that need no further try.

    Returns:
        Who has it, who never will, and who may have it later.

    Raises:
        NotSent: nobody has got it by this try. The message holds no password.
    """
    left = [address for address in mail.to if address not in done]
    with _in_words(mail, deadline), _server(mail, deadline) as server:
        return _hand_over(server, mail, message_of(facts, mail).as_bytes(policy=_FOLDED), left, done)


def greet(mail: MailSettings, deadline: Deadline, environ: Mapping[str, str] = os.environ) -> None:
    """Tries whether a server answers, its certificate is trusted and it lets us in; sends nothing.

    Raises:
        NotSent: it does not. The message holds no password.
        SecretUnreadable: there is no password where the settings say.
    """
    with _in_words(mail, deadline), _server(mail, deadline, environ):
        pass


@contextlib.contextmanager
def _server(
    mail: MailSettings, deadline: Deadline, environ: Mapping[str, str] = os.environ
) -> Iterator[smtplib.SMTP]:
    """The server, which has let us in."""
    password = read_secret(mail.password_env, mail.password_file, mail.password_credential, environ)
    with _Server(mail, deadline) as server:
        _log_in(server, mail, password)
        yield server


@contextlib.contextmanager
def _in_words(mail: MailSettings, deadline: Deadline) -> Iterator[None]:
    """Turns what may go wrong with a server into ``NotSent``, without what was said of the password."""
    where = f"mail server {mail.host}:{mail.port}"
    try:
        yield
    except smtplib.SMTPNotSupportedError as error:
        lacks = "STARTTLS" if "STARTTLS" in str(error) else "login that we know"
        raise NotSent(f"{where}: it offers no {lacks}; nothing was said in the open") from None
    except smtplib.SMTPAuthenticationError as error:
        raise NotSent(f"{where}: it refuses the user name or the password ({error.smtp_code})") from None
    except smtplib.SMTPResponseException as error:
        said = _said(error.smtp_code, error.smtp_error)  # of a connection that was cut only a part
        raise NotSent(f"{where}: {in_words(error, deadline) if deadline.expired else said}") from None
    except smtplib.SMTPServerDisconnected as error:
        cause = error.__context__
        known = isinstance(cause, OSError) and not isinstance(cause, smtplib.SMTPException)
        said = in_words(cause or error, deadline) if known or deadline.expired else "it closed the connection"
        raise NotSent(f"{where}: {said}") from None
    except (OSError, smtplib.SMTPException) as error:
        raise NotSent(f"{where}: {in_words(error, deadline)}") from None


class _Server(smtplib.SMTP):
    """A mail server; with TLS when its block begins, if that is wanted."""

    def __init__(self, mail: MailSettings, deadline: Deadline) -> None:
        self._mail, self._deadline = mail, deadline
        self._context = None if mail.security == "none" else trusting(mail.ca_file)
        name = socket.gethostname()  # not getfqdn(): that asks a name server, which may take its time
        super().__init__(
            local_hostname=name if name.isascii() and name else "localhost", timeout=mail.timeout_seconds
        )
        self._host = mail.host or ""  # the name that the certificate must bear

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connection = self._deadline.connect(host, port, timeout)
        if self._mail.security == "tls" and self._context is not None:
            return self._context.wrap_socket(connection, server_hostname=host)
        return connection

    def __enter__(self) -> Self:
        try:
            _expect(_READY, *self.connect(self._mail.host or "", self._mail.port))
            self.ehlo_or_helo_if_needed()
            if self._mail.security == "starttls":
                self.starttls(context=self._context)
                self.ehlo_or_helo_if_needed()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            if exc[0] is None and not self._deadline.expired:
                self.docmd("QUIT")
        except (OSError, smtplib.SMTPException):
            pass  # it has the letter: how it says goodbye does not matter
        finally:
            self.close()


def _log_in(server: smtplib.SMTP, mail: MailSettings, password: str | None) -> None:
    if mail.username is None or password is None:
        return
    if mail.username.isascii() and password.isascii():
        server.login(mail.username, password)
        return
    if "PLAIN" not in server.esmtp_features.get("auth", "").upper().split():
        raise smtplib.SMTPNotSupportedError
    told = base64.b64encode(f"\0{mail.username}\0{password}".encode()).decode()  # RFC 4616: in UTF-8
    code, _ = server.docmd("AUTH", f"PLAIN {told}")
    if code != _LOGGED_IN:
        raise smtplib.SMTPAuthenticationError(code, b"")


def _hand_over(
    server: smtplib.SMTP, mail: MailSettings, message: bytes, left: Sequence[str], done: Sequence[str]
) -> Sent:
    code, said = server.mail(str(mail.sender))
    if code != _OK:
        raise NotSent(
            f"mail server {mail.host}:{mail.port}: sender {mail.sender} refused: {_said(code, said)}"
        )
    taken: list[str] = []
    refused: dict[str, str] = {}
    later: dict[str, str] = {}
    for address in left:
        code, said = server.rcpt(address)
        if code in (_OK, _FORWARDED):
            taken.append(address)
        else:
            (later if code in _TEMPORARY else refused)[address] = _said(code, said)
    if not taken:
        if done and not later:  # those who could have it have it
            return Sent((*done, *refused), refused)
        words = "; ".join(f"{address}: {why}" for address, why in (refused | later).items())
        raise NotSent(f"mail server {mail.host}:{mail.port}: no recipient taken: {words}")
    _expect(_OK, *server.data(message))
    return Sent((*done, *taken, *refused), refused, later)


def _expect(wanted: int, code: int, said: bytes) -> None:
    if code != wanted:
        raise smtplib.SMTPResponseException(code, said)


def _said(code: int, text: bytes | str) -> str:
    return f"{code} {display_name(os.fsdecode(text))[:_SHOWN]}"
