"""What a file has to do with earlier deliveries: whose rejects it brings back, whose bytes it begins with."""

import os
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from daemon import source
from daemon.logs import display_name
from daemon.reading import Kin, Rules
from daemon.store import Store
from daemon.store.staging import SCRATCH_ABOVE
from handlers.errors import FileError
from handlers.fixes import first_rejects_name
from handlers.reasons import FileReason
from handlers.route import Route, route


def whose(name: str, rules: Rules, store: Store) -> tuple[Route, Mapping[str, Any] | None]:
    """Where a file belongs; and, of a rejects file that comes back, its delivery.

    Raises:
        FileError: ``unroutable``, or ``stale_rejects``.
    """
    rejects = first_rejects_name(name)
    if rejects is None:
        return route(name, rules.patterns), None
    first = store.rejects_at(f"errors/{rejects}")
    if first is None:
        raise FileError(FileReason.STALE_REJECTS, f"no delivery has written errors/{display_name(rejects)}")
    return Route(first["file_type"], first["slot"], ""), first


def kin_of(
    fd: int, name: str, where: Route, first: Mapping[str, Any] | None, rules: Rules, store: Store
) -> Kin:
    """What a file has to do with an earlier one: it corrects its rejects, or it begins with its bytes.

    Args:
        fd: the open file.
        name: its name, printable.
        where: where it belongs.
        first: the delivery whose rejects it holds.
        rules: from the settings.
        store: the database.

    Raises:
        FileError: ``cut_before``.
    """
    if first is not None:
        return Kin(fixes=first["id"], day=first["timestamp"].astimezone(rules.timezone).date())
    if where.slot is not None:
        return Kin(alone=os.fstat(fd).st_size > SCRATCH_ABOVE and store.is_free(where.slot))
    upto = store.last_appended(where.feed)
    if where.compression:
        return Kin(looked_upto=upto)
    by_size = defaultdict(list)
    for key, size, sha256 in store.appended(where.feed, name, os.fstat(fd).st_size):
        by_size[size].append((key, sha256))
    found = source.prefixes(fd, by_size)
    for end in sorted(found, reverse=True):
        for key, sha256 in by_size[end]:
            if sha256 == found[end]:
                codec = source.choose_codec(fd, "", rules.encodings[where.feed], rules.limits)
                lines = source.lines_before(fd, end, codec, rules.limits)
                if lines is None:
                    raise FileError(
                        FileReason.CUT_BEFORE,
                        f"the file begins with all bytes of delivery {key}, which ended within a line: it was cut off,"
                        " and its rows would count twice",
                    )
                return Kin(extends=key, known_lines=lines, looked_upto=upto)
    return Kin(looked_upto=upto)
