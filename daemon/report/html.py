"""HTML that is balanced and escaped because nothing else can be written."""

from collections.abc import Iterable
from html import escape

from daemon.terminal import printable

_VOID = frozenset({"meta", "br", "rect", "polyline", "polygon", "line"})  # those that are used


class Html(str):
    """Text that is HTML already: only ``el`` makes it."""

    __slots__ = ()


Child = str | None | Iterable["Html"]


def el(name: str, /, *children: Child, **attributes: str | float | None) -> Html:
    """An element.

    Args:
        name: of the element.
        children: elements; text, which is escaped, and of which every character can be seen; None is left out.
        attributes: ``class_`` and ``data_l`` stand for ``class`` and ``data-l``; None is left out.
    """
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_plain(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{told}{'' if name in ('meta', 'br') else '/'}>")
    return Html(f"<{name}{told}>{''.join(map(_inner, children))}</{name}>")


def joined(*children: Child) -> Html:
    """Some elements and texts, one after the other."""
    return Html("".join(map(_inner, children)))


def _inner(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return child
    if isinstance(child, str):
        return escape(printable(child), quote=False)
    return "".join(map(_inner, child))


def _plain(value: str | float) -> str:
    return printable(value) if isinstance(value, str) else f"{value:g}"
