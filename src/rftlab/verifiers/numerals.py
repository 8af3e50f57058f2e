"""Numbers that lie beside a number, and spellings of one. For ``rftlab validate``."""

from __future__ import annotations

from fractions import Fraction

PLACES = 12
"""Decimal places of a spelling; a fraction that needs more is spelt as a fraction only."""


def near(gold: Fraction) -> list[Fraction]:
    """Other numbers that slips lead to: off by one, sign, a digit more, less or swapped, wrong unit, the inverse."""
    whole = str(abs(gold.numerator))
    digits = [whole + "0", whole + "1", whole[:-1], whole[1:] if len(whole) > 1 else "", whole[:-2] + whole[:-3:-1]]
    found = [gold + 1, gold - 1, -gold, 10 * gold, 100 * gold, gold / 10]
    found += [Fraction(int(text), gold.denominator) * (-1 if gold < 0 else 1) for text in digits if text]
    found += [1 / gold] if gold else []
    return [value for value in dict.fromkeys(found) if value != gold]


def spellings(value: Fraction) -> list[str]:
    """Spellings of a number: with commas, trailing zeros, as a decimal, as an unreduced fraction, in LaTeX."""
    sign, size = ("-" if value < 0 else ""), abs(value)
    top, bottom = size.numerator, size.denominator
    found = [
        rf"{sign}\frac{{{top}}}{{{bottom}}}",
        rf"{sign}\dfrac{{{2 * top}}}{{{2 * bottom}}}",
        f"{sign}{top}/{bottom}",
    ]
    if bottom == 1:
        found += [f"{sign}{top}", f"{sign}{top:,}", f"{sign}{top}.0"]
    elif (text := decimal(size)) is not None:
        found += [f"{sign}{text}", f"{sign}{text}00"]
    return found


def decimal(value: Fraction) -> str | None:
    """A number >= 0 as a decimal; None if it has too many places."""
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest != 1 or (value * 10**PLACES).denominator != 1:
        return None
    whole, places = divmod(int(value * 10**PLACES), 10**PLACES)
    return f"{whole}.{places:0{PLACES}d}".rstrip("0").rstrip(".")
