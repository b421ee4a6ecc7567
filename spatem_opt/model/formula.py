"""Formulas of chip files: a number from other fields, ``"32 * floor(1.2 * cycle_ns)"`` (``instances/README.md``).

A formula is text from a file, so it is read as data: it is parsed with :mod:`ast` and only numbers, names of fields,
``+ - * / **``, parentheses and a few functions are computed, by this module and never by :func:`eval`. All numbers are
floats; text, tree and results are bounded, so that no formula takes memory or time worth mentioning.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from spatem_opt.errors import InstanceError

MAX_TEXT = 500
"""Characters of a formula."""
MAX_NODES = 200
"""Parts (numbers, names, operators, calls) of a formula; bounds the depth of the tree as well."""
LARGEST = 1e30
"""No part of a formula may be larger: far beyond any number of a chip, far below the range of a float."""

_OPERATORS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: lambda a, b: a**b,
}
_FUNCTIONS: Mapping[str, tuple[Callable[..., float], int, int]] = {
    "min": (lambda *a: min(a), 1, MAX_NODES),
    "max": (lambda *a: max(a), 1, MAX_NODES),
    "ceil": (lambda a: float(math.ceil(a)), 1, 1),
    "floor": (lambda a: float(math.floor(a)), 1, 1),
    "log2": (math.log2, 1, 1),
}
_ALLOWED = "numbers, fields, + - * / **, parentheses, " + ", ".join(_FUNCTIONS)


@dataclass(frozen=True, slots=True)
class Formula:
    """A parsed formula.

    Parameters
    ----------
    text : str
        As written.
    names : tuple of str
        Fields that it needs, in order of appearance, each once.
    """

    text: str
    names: tuple[str, ...]
    _tree: ast.expr

    def value(self, fields: Mapping[str, float], where: str, field: str) -> float:
        """Compute the formula.

        Parameters
        ----------
        fields : mapping
            The value of every field in :attr:`names`.
        where, field : str
            Named in errors.

        Raises
        ------
        InstanceError
            If a division by zero, the logarithm or a broken power of a number that has none, or a number beyond
            :data:`LARGEST` occurs.

        Examples
        --------
        >>> parse("ceil(ou_cols / adcs) * 2.56", "f", "cycle_ns").value({"ou_cols": 12, "adcs": 8}, "f", "cycle_ns")
        5.12
        """
        try:
            return _compute(self._tree, fields)
        except ZeroDivisionError:
            rule = "expected no division by zero"
        except (ValueError, OverflowError, TypeError):
            rule = f"expected real numbers of at most {LARGEST:g}"
        raise InstanceError(where, f"{field}.derive", short(self.text), f"{rule} (at {_shown(self.names, fields)})")


def short(text: str) -> str:
    """The beginning of a formula, for messages."""
    return text if len(text) <= 60 else text[:57] + "..."


def parse(text: str, where: str, field: str) -> Formula:
    """Parse a formula.

    Raises
    ------
    InstanceError
        If `text` is too long, no expression, or uses anything but what formulas may.

    Examples
    --------
    >>> parse("2 * max(ou_rows, ou_cols) ** 2", "f", "x").names
    ('ou_rows', 'ou_cols')
    """
    at = f"{field}.derive"
    if len(text) > MAX_TEXT:
        raise InstanceError(where, at, f"{len(text)} characters", f"expected at most {MAX_TEXT}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise InstanceError(where, at, short(text), "expected a formula of " + _ALLOWED) from error
    if sum(isinstance(part, ast.expr) for part in ast.walk(tree)) > MAX_NODES:
        raise InstanceError(where, at, short(text), f"expected at most {MAX_NODES} numbers, names and operators")
    names: dict[str, None] = {}
    try:
        _check(tree, names)
    except (ValueError, OverflowError) as error:
        raise InstanceError(where, at, short(text), f"{error}, expected {_ALLOWED}") from error
    return Formula(text, tuple(names), tree)


def _check(tree: ast.expr, names: dict[str, None]) -> None:
    """Refuse what formulas may not have (ValueError) and collect the names of fields."""
    match tree:
        case ast.Constant(value=bool() as truth):
            raise ValueError(f"{truth} is no number")
        case ast.Constant(value=int() | float() as number):
            if abs(float(number)) > LARGEST:
                raise ValueError("a number is too large")
        case ast.Name(id=name):
            names[name] = None
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=inner):
            _check(inner, names)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            _check(left, names)
            _check(right, names)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
            _, least, most = _FUNCTIONS[name]
            if not least <= len(args) <= most:
                raise ValueError(f"{name} takes {'one number' if most == 1 else 'one number or more'}")
            for inner in args:
                _check(inner, names)
        case _:
            raise ValueError(f"{ast.unparse(tree)[:40]!r} is not part of formulas")


def _compute(tree: ast.expr, fields: Mapping[str, float]) -> float:
    """Value of a tree that `_check` has passed."""
    match tree:
        case ast.Constant(value=int() | float() as number):
            found = float(number)
        case ast.Name(id=name):
            found = float(fields[name])
        case ast.UnaryOp(op=op, operand=inner):
            found = -_compute(inner, fields) if isinstance(op, ast.USub) else _compute(inner, fields)
        case ast.BinOp(left=left, op=operator, right=right):
            found = _OPERATORS[type(operator)](_compute(left, fields), _compute(right, fields))
        case ast.Call(func=ast.Name(id=name), args=args):
            found = _FUNCTIONS[name][0](*(_compute(inner, fields) for inner in args))
        case _:
            raise TypeError
    if isinstance(found, complex) or not abs(found) <= LARGEST:
        raise OverflowError
    return found


def _shown(names: tuple[str, ...], fields: Mapping[str, float]) -> str:
    return ", ".join(f"{name} = {fields[name]:g}" for name in names[:6]) or "no fields"
