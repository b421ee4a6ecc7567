"""Exceptions of the package. Infeasibility is not one of them: it is a result
(:class:`spatem_opt.model.result.Shortage`)."""

from __future__ import annotations

LONGEST_LINE = 290
"""Characters of a message; with ``error: `` before it, it stays within 300."""
_SHORT = {"value": 90, "field": 60, "where": 100}
"""To how many characters the parts of a message that is too long are cut, in this order."""


def one_line(text: str, longest: int = LONGEST_LINE) -> str:
    """A text from outside, fit to be printed: control characters and newlines escaped, the middle cut out if too long.

    Examples
    --------
    >>> one_line("conv" + chr(10) + chr(27) + "[31m")
    'conv\\\\n\\\\x1b[31m'
    >>> one_line("abcdefghij", 7)
    'ab...ij'
    """
    if len(text) > longest:  # first, so that a text of megabytes costs nothing
        text = _cut(text, longest)
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return _cut(text, longest)


def _cut(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    kept = longest - 3
    return f"{text[: (kept + 1) // 2]}...{text[len(text) - kept // 2 :]}"


def _shown(value: object) -> str:
    """``repr``, also of what has none: lists nested too deep, integers of too many digits."""
    try:
        return repr(value)
    except (ValueError, RecursionError, MemoryError):
        return f"<{type(value).__name__} that cannot be shown>"


class InstanceError(ValueError):
    """An input is wrong. The message is one line: object, field, value, rule; at most :data:`LONGEST_LINE` characters.

    Parameters
    ----------
    where : str
        The object, for files with the path inside, e.g. ``"layer 'conv1'"`` or ``"solution.json: placement"``.
    field : str
        The field at fault; may be empty when the object as a whole is.
    value : object
        The offending value.
    rule : str
        What was expected, e.g. ``"expected >= 1"``.

    Examples
    --------
    >>> print(InstanceError("layer 'conv1'", "stride", 0, "expected >= 1"))
    layer 'conv1': stride = 0, expected >= 1
    """

    def __init__(self, where: str, field: str, value: object, rule: str) -> None:
        shown = value if isinstance(value, str) and not field else _shown(value)
        parts = {"value": shown, "field": str(field), "where": str(where)}
        message = _join(parts, rule)
        for part, longest in _SHORT.items():
            if len(message) > LONGEST_LINE:
                parts[part] = one_line(parts[part], longest)
                message = _join(parts, rule)
        super().__init__(one_line(message))
        self.where, self.field, self.value, self.rule = where, field, value, rule

    def __reduce__(self) -> tuple[type[InstanceError], tuple[str, str, object, str]]:
        """Arguments for unpickling: errors of worker processes arrive as they were."""
        return type(self), (self.where, self.field, self.value, self.rule)


def _join(parts: dict[str, str], rule: str) -> str:
    field = f"{parts['field']} = " if parts["field"] else ""
    return f"{parts['where']}: {field}{parts['value']}, {rule}"


class ModelError(RuntimeError):
    """Two parts of this package disagree about the same solution: a bug of ours, never of the input."""
