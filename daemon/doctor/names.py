"""Names made from patterns, to find those that two feeds would own.

Whether two regular expressions have a word in common cannot be told by simple means; trying the words that each is
made for, and joins of them, finds what happens in practice.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice, product
from re import _constants as op  # type: ignore[attr-defined]  # the only reader of regular expressions there is
from re import _parser  # type: ignore[attr-defined]
from typing import Any

from handlers.errors import FileError
from handlers.route import route

_MOST = 12  # samples of one pattern
_LONGEST = 255  # bytes of a file's name
_DAY = "20250115"


def owned_twice(patterns: Mapping[str, Sequence[str]], most: int = 3) -> dict[str, list[str]]:
    """Sample names (before the extension) that more than one feed owns, with the feeds.

    Args:
        patterns: feed to regular expressions, as in the settings.
        most: how many names; more of one pair of feeds tell nothing new.
    """
    compiled = {feed: [re.compile(expression) for expression in each] for feed, each in patterns.items()}
    found: dict[str, list[str]] = {}
    for name in _candidates(patterns):
        owners = [feed for feed, each in compiled.items() if any(p.fullmatch(name) for p in each)]
        if len(owners) > 1 and owners not in found.values() and not _is_refused_anyway(name):
            found[name] = owners
            if len(found) == most:
                break
    return found


def _is_refused_anyway(name: str) -> bool:
    """Whether no feed could own it, because it is no name of a file."""
    try:
        route(f"{name}.csv", {"any": [".*"]})
    except FileError:
        return True
    return False


def _candidates(patterns: Mapping[str, Sequence[str]]) -> Iterator[str]:
    samples = [sample for each in patterns.values() for p in each for sample in samples_of(p)]
    usual = [name for feed in patterns for name in (f"{feed}_data_{_DAY}", f"{feed}_{_DAY}")]
    yield from dict.fromkeys((*samples, f"data_{_DAY}", _DAY, *usual))
    for one, other in product(samples, repeat=2):
        yield f"{one}{other}"
        yield f"{one}_{other}"


def samples_of(pattern: str) -> list[str]:
    """A few words that a pattern is made for; none if it is of an odd kind."""
    try:
        made = islice(_words(_parser.parse(pattern)), 4 * _MOST)
        return [word for word in dict.fromkeys(made) if re.fullmatch(pattern, word)][:_MOST]
    except (re.error, NotImplementedError, RecursionError):
        return []


def _words(parsed: Any) -> Iterator[str]:
    parts = [list(islice(_part(*item), 4)) for item in parsed]
    for chosen in product(*parts):
        yield _with_day("".join(chosen))


def _with_day(word: str) -> str:
    """Eight digits in a row are a day."""
    return word.replace("00000000", "20250115")


def _part(code: Any, argument: Any) -> Iterator[str]:
    """Some words for one part of a pattern."""
    if code in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
        yield from _repeated(*argument)
    elif code is op.BRANCH:
        for branch in argument[1]:
            yield from _words(branch)
    elif code is op.SUBPATTERN:
        yield from _words(argument[-1])
    elif code in _SIMPLE:
        yield _SIMPLE[code](argument)
    else:
        raise NotImplementedError(code)


def _repeated(low: int, high: int, part: Any) -> Iterator[str]:
    """The fewest times, and once if that is none."""
    if low > _LONGEST:
        raise NotImplementedError(low)
    words = list(islice(_words(part), 4))
    for times in dict.fromkeys((low, min(max(low, 1), high))):
        yield from (_with_day(word * times) for word in words)


def _member(members: Any) -> str:
    """A character of a set such as ``[a-z]``, or of a class such as that of digits."""
    classes = {op.CATEGORY_DIGIT: "0", op.CATEGORY_WORD: "x", op.CATEGORY_SPACE: " "}
    if members[0][0] is op.NEGATE:
        pattern = "x0_-A .~"
        barred = {chr(value) for code, value in members if code is op.LITERAL}
        return next(char for char in pattern if char not in barred)
    code, value = members[0]
    if code is op.LITERAL:
        return chr(value)
    if code is op.RANGE:
        return chr(value[0])
    return classes.get(value, "x")


_SIMPLE: dict[Any, Callable[[Any], str]] = {
    op.LITERAL: chr,
    op.NOT_LITERAL: lambda barred: "x" if barred != ord("x") else "y",
    op.ANY: lambda _any: "x",
    op.IN: _member,
    # places, and looks around them: whether they hold is tried with the whole word
    op.AT: lambda _place: "",
    op.ASSERT: lambda _look: "",
    op.ASSERT_NOT: lambda _look: "",
}
