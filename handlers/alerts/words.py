"""Scopes, moments and figures as a person says them."""

from datetime import datetime

from handlers.alerts.rules import Rule

_FEW = 10


def owner_words(rule: str, feed: str) -> str:
    """Whose an alert is: its feed, the site's, or no feed's because none owns the file's name."""
    return feed or ("the site" if rule == Rule.WORKFLOW else "no feed")


def scope_words(scope: str, between: str = " ") -> str:
    """``measure:revenue|channel:pos`` as ``revenue channel pos``; of nothing in particular "".

    Args:
        scope: as it stands in the tables.
        between: what to put between its parts.
    """
    if scope == "source:":
        return "the file"  # names of this feed's files do not tell who sends
    return between.join(
        part.removeprefix("measure:").replace(":", " ", 1).replace("%7C", "|").replace("%25", "%")
        for part in scope.split("|")
        if part
    )


def clock_words(moment: object) -> str:
    """A moment in ISO 8601 to the minute, on the clock it was written by; anything else as it is."""
    try:
        return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M}" if isinstance(moment, str) else str(moment)
    except ValueError:
        return str(moment)


def figure_words(figure: float) -> str:
    """A total or an expectation: small ones with one decimal, unless they are whole."""
    if abs(figure) >= _FEW or figure == int(figure):
        return f"{figure:,.0f}"
    return f"{figure:.1f}"
