"""The HTML of a letter: light, readable without pictures or scripts, everything from outside escaped."""

from collections.abc import Iterator
from html import escape

from handlers.alerts.letter import Composed, Part

_INK, _DIM, _LINE = "#1f2933", "#5b6770", "#d9dee3"
_COLOURS = {
    "critical": "#a61b1b",
    "warning": "#8a5300",
    "info": "#1d5f8a",
    "over": "#22703a",
    "still": "#8a5300",
}
_FONT = "font-family:-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"
_CODE = "font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:13px"


def html_of(letter: Composed) -> str:
    """The letter as an HTML page with its styles inline, for mail programs keep no others.

    Args:
        letter: in words.
    """
    return "".join(_page(letter))


def _page(letter: Composed) -> Iterator[str]:
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light">'
    yield f"<title>{escape(letter.subject)}</title></head>"
    yield f'<body style="margin:0;padding:16px;{_FONT};font-size:15px;line-height:1.45;color:{_INK};background:#ffffff">'
    yield '<div style="max-width:680px;margin:0 auto">'
    yield f'<p style="margin:0 0 12px">{escape(letter.intro)}</p>'
    if letter.rows:
        yield '<table style="border-collapse:collapse;width:100%;margin:0 0 20px">'
        for word, where, said in letter.rows:
            cell = f"padding:6px 10px 6px 0;border-bottom:1px solid {_LINE};vertical-align:top"
            colour = _COLOURS.get(word, _INK)
            yield f'<tr><td style="{cell};color:{colour};font-weight:600">{escape(word)}</td>'
            yield f'<td style="{cell};width:34%;overflow-wrap:anywhere">{escape(where)}</td>'
            yield f'<td style="{cell}">{escape(said)}</td></tr>'
        yield "</table>"
    for part in letter.parts:
        yield from _part(part)
    yield f'<p style="margin:24px 0 0;padding-top:10px;border-top:1px solid {_LINE};font-size:12px;color:{_DIM}">'
    yield f"{escape(letter.footer)}</p></div></body></html>"


def _part(part: Part) -> Iterator[str]:
    yield f'<h2 style="font-size:16px;margin:20px 0 6px">{escape(part.head)}</h2>'
    yield f'<p style="margin:0 0 4px">{escape(part.said)}</p>'
    if part.meaning:
        yield f'<p style="margin:0 0 8px;font-size:13px;color:{_DIM}">{escape(part.meaning)}</p>'
    if part.facts:
        yield '<table style="border-collapse:collapse;margin:8px 0">'
        for name, value in part.facts:
            yield f'<tr><td style="padding:2px 14px 2px 0;color:{_DIM};vertical-align:top">{escape(name)}</td>'
            yield f'<td style="padding:2px 0;vertical-align:top;word-break:break-word">{escape(value)}</td></tr>'
        yield "</table>"
    if part.rejects:
        yield '<p style="margin:10px 0 4px;font-weight:600">The first rejects</p><ul style="margin:0;padding-left:20px">'
        yield from (f'<li style="margin:2px 0">{escape(reject)}</li>' for reject in part.rejects)
        yield "</ul>"
    if part.steps:
        yield f'<p style="margin:10px 0 4px;font-weight:600">What to do</p><p style="margin:0">{escape(part.steps)}</p>'
    if part.commands:
        yield '<p style="margin:10px 0 4px;font-weight:600">More</p>'
        yield f'<pre style="margin:0;padding:8px 10px;background:#f3f5f7;color:{_INK};white-space:pre-wrap;{_CODE}">'
        yield "\n".join(escape(command) for command in part.commands)
        yield "</pre>"
