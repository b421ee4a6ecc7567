"""Names of shipped things: found whatever their case and dashes, and shown without what would upset a terminal."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def folded(name: str) -> str:
    """What of a name is compared: neither case, dashes, underscores nor spaces.

    Examples
    --------
    >>> folded("MobileNet-v2"), folded("mobilenet_v2")
    ('mobilenetv2', 'mobilenetv2')
    """
    return "".join(part for part in name.casefold() if part not in "-_ ")


def find(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` means: itself if it is known, else the one that differs in case and dashes only.

    Parameters
    ----------
    name : str
        As somebody wrote it.
    known : iterable of str
        Names that are unique when folded.

    Returns
    -------
    str or None
        None if there is no such name.

    Examples
    --------
    >>> find("ResNet-50", ["resnet5", "resnet50"]), find("resnet", ["resnet50"])
    ('resnet50', None)
    """
    names = list(known)
    if name in names:
        return name
    wanted = folded(name)
    return next((other for other in names if folded(other) == wanted), None)


def suggestions(name: str, known: Iterable[str]) -> list[str]:
    """Known names that look like `name`, the most alike first; all of them if none does.

    Examples
    --------
    >>> suggestions("ResNet-5O", ["resnet18", "resnet50", "vgg16"])[0]
    'resnet50'
    >>> suggestions("x", ["resnet18", "vgg16"])
    ['resnet18', 'vgg16']
    """
    names = {folded(other): other for other in known}
    close = difflib.get_close_matches(folded(name), names, n=3)
    return [names[key] for key in close] or list(names.values())


def visible(text: str) -> str:
    r"""Text of one line in which control characters, and all else that cannot be printed, are spelled out.

    Names come from files: a newline in one must not make two lines of an error, an escape sequence must not reach the
    terminal.

    Examples
    --------
    >>> print(visible("res\n\x1b[31m"))
    res\n\x1b[31m
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
