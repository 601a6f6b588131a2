"""Asking a daemon of this host how it is, for ``stockgrip status`` and ``stockgrip doctor``."""

import json
from typing import Any, Final

from daemon.health_settings import address_of, in_words

_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (it is asked, not listened on)
_SECONDS: Final = 3.0  # it answers within two
_LONGEST: Final = 1 << 20


def asked(listen: str | None) -> dict[str, Any] | None:
    """What ``/readyz`` says: its keys, ``listen``, and ``error``.

    ``ready`` is None if nothing, or something else, answers; ``error`` then says why, and ``answers`` whether anything did.
    None: there is nowhere to ask.
    """
    if listen is None:
        return None
    from http.client import HTTPConnection, HTTPException  # noqa: PLC0415  (few ask)

    host, port = address_of(listen)
    connection = HTTPConnection(_EVERYWHERE.get(host, host), port, timeout=_SECONDS)
    said: dict[str, Any] = {"listen": listen, "answers": False, "ready": None, "reasons": [], "error": None}
    try:
        connection.request("GET", "/readyz")
        content = json.loads(connection.getresponse().read(_LONGEST))
    except OSError as error:
        return said | {"error": f"nothing answers on {listen}: {in_words(error)}"}
    except (HTTPException, ValueError):
        content = None
    finally:
        connection.close()
    if not isinstance(content, dict) or not isinstance(content.get("ready"), bool):
        return said | {"answers": True, "error": f"something else than the daemon answers on {listen}"}
    return said | {"answers": True} | content
