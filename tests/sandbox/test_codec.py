"""Values come back as they were, and nothing that comes is more than data."""

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import json
import socket
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rftlab.sandbox.codec import DECODING_ERRORS, MAX_ITEMS, BadMessage, decode, encode, receive, send


def none(_: object) -> Any:
    raise AssertionError("no opaque value expected")


def there_and_back(value: object) -> Any:
    return decode(json.loads(json.dumps(encode(value, none))), none)


keys = st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.binary(), st.dates(), st.fractions())
values = st.recursive(
    st.one_of(keys, st.floats(allow_nan=False), st.complex_numbers(allow_nan=False), st.decimals(allow_nan=False)),
    lambda inner: st.one_of(
        st.lists(inner),
        st.tuples(inner, inner),
        st.dictionaries(keys, inner),
        st.sets(keys),
        st.frozensets(keys),
        st.builds(collections.deque, st.lists(inner)),
    ),
    max_leaves=20,
)


@settings(max_examples=50)
@given(values)
def test_every_value_comes_back_equal_and_of_its_type(value: object) -> None:
    back = there_and_back(value)
    assert back == value and type(back) is type(value)


@pytest.mark.parametrize(
    "value",
    [
        collections.Counter("abca"),
        collections.OrderedDict([(2, 1), (1, 2)]),
        range(3, 9, 2),
        bytearray(b"ab"),
        pytest.param(10**5000, id="long"),
        -(2**63),
        pytest.param("\ud800\0", id="surrogate"),
        float("-inf"),
        ...,
        int,
        datetime.datetime(2020, 1, 2, 3, tzinfo=datetime.UTC),
        datetime.time(3, 4),
        datetime.timedelta(days=-1, microseconds=5),
        decimal.Decimal("1.50"),
        fractions.Fraction(1, 3),
    ],
)
def test_library_types_come_back(value: object) -> None:
    back = there_and_back([value])
    assert back == [value] and type(back[0]) is type(value)


def test_views_and_iterators_are_read_out() -> None:
    table = {"a": 1, "b": 2}
    assert there_and_back(table.keys()) == table.keys() and there_and_back(table.items()) == table.items()
    assert list(there_and_back(table.values())) == [1, 2]
    assert list(there_and_back(x * x for x in range(4))) == [0, 1, 4, 9]
    assert there_and_back(collections.defaultdict(list, a=[1])) == {"a": [1]}


def test_an_endless_iterator_is_cut_and_says_so() -> None:
    endless = there_and_back(iter(int, 1))
    with pytest.raises(MemoryError):
        for count, _ in enumerate(endless):
            assert count < MAX_ITEMS


def test_subclasses_are_sent_as_what_they_hold_not_as_what_they_claim() -> None:
    class Liar(int):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = int.__hash__

    back = there_and_back([Liar(3), type("Pair", (tuple,), {})((1, 2))])
    assert back == [3, (1, 2)] and [type(each) for each in back] == [int, tuple]


def test_what_is_no_data_becomes_what_its_owner_says() -> None:
    assert encode([object()], lambda _: 7) == ["list", [["opaque", 7]]]
    assert decode(["list", [["opaque", 7]]], lambda number: ("seven", number)) == [("seven", 7)]


@pytest.mark.parametrize(
    "node",
    [
        {},
        [],
        ["list"],
        ["list", 3],
        ["eval", "1"],
        ["type", "eval"],
        ["type", "__import__"],
        ["Decimal", "x"],
        ["Fraction", [1, 0]],
        ["datetime", 5],
        ["set", [["list", []]]],
        ["dict", [1]],
        ["int", "zz"],
        ["complex", ["a", "b"]],
        ["iterator", 5],
        ["bytes", "xyz"],
        [["list", []], 1],
    ],
)
def test_what_is_no_value_is_refused(node: object) -> None:
    with pytest.raises(DECODING_ERRORS):
        decode(node, none)


def test_messages_are_bounded_and_must_be_json() -> None:
    def answer(raw: bytes) -> Any:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.sendall(raw)
            theirs.shutdown(socket.SHUT_WR)
            return receive(ours.fileno())

    for raw in (b"\xff\xff\xff\xff", b"\0\0\0\1{", b"\0\0\x27\x10" + b"[" * 10_000):
        with pytest.raises(BadMessage):
            answer(raw)
    for raw in (b"", b"\0\0", b"\0\0\0\5ab"):
        with pytest.raises(EOFError):
            answer(raw)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send(theirs.fileno(), ["value", 1])
        assert receive(ours.fileno()) == ["value", 1]
        with pytest.raises(MemoryError):
            send(theirs.fileno(), "x" * (17 << 20))
