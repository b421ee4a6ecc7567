"""Exceptions of the package. Infeasibility is not one of them: it is a result (:class:`spatem_opt.result.Shortage`)."""

from __future__ import annotations


class InstanceError(ValueError):
    """An input is wrong. The message is one line: object, field, value, rule.

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
        shown = value if isinstance(value, str) and not field else repr(value)
        super().__init__(f"{where}: {field} = {shown}, {rule}" if field else f"{where}: {shown}, {rule}")
        self.where, self.field, self.value, self.rule = where, field, value, rule


class ModelError(RuntimeError):
    """Two parts of this package disagree about the same solution: a bug of ours, never of the input."""
