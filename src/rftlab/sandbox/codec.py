"""Values between two processes as data: nothing that is read can run, whoever wrote it.

A plain value is JSON itself (null, true, 1, 1.5, "a"), any other a list [tag, content]. What is not data travels as a
number that only its owner can turn back into the object.
"""

import builtins
import collections
import collections.abc
import json
import os
import sys

MAX_BYTES = 16 * 2**20
"""Of one message."""
MAX_ITEMS = 100_000
"""Taken from an iterator, which may never end."""
SMALL = 2**63


class BadMessage(ValueError):
    """What came is no message, or too long a one."""


def send(channel, message):
    """One message over the descriptor of a socket."""
    content = json.dumps(message).encode()
    if len(content) > MAX_BYTES:
        raise MemoryError(f"a message of {len(content):,} bytes")
    view = memoryview(len(content).to_bytes(4, "big") + content)
    while view:
        view = view[os.write(channel, view) :]


def receive(channel):
    """The next message; ``EOFError`` when there is none."""
    size = int.from_bytes(_exactly(channel, 4), "big")
    if size > MAX_BYTES:
        raise BadMessage(f"a message of {size:,} bytes")
    try:
        return json.loads(_exactly(channel, size))
    except (ValueError, RecursionError) as error:
        raise BadMessage(str(error)[:200]) from None


def _exactly(channel, size):
    content = bytearray()
    while len(content) < size:
        block = os.read(channel, min(size - len(content), 1 << 16))
        if not block:
            raise EOFError
        content += block
    return bytes(content)


def encode(value, opaque):
    """``value`` as JSON data; ``opaque(value)`` gives the content for what is no data. Subclasses go as their base."""
    if value is None or isinstance(value, bool | float | str):
        return value
    if isinstance(value, int):
        return value if -SMALL < value < SMALL else ["int", hex(value)]
    for tag, (kind, content, _) in SCALARS.items():
        if isinstance(value, kind):
            return [tag, content(value)]
    for tag, (module, content, _) in LIBRARY.items():
        if module in sys.modules and isinstance(value, getattr(sys.modules[module], tag)):
            return [tag, content(value)]
    for tag, kind in PAIRS.items():
        if isinstance(value, kind):
            return [tag, [[encode(k, opaque), encode(v, opaque)] for k, v in value.items()]]
    for tag, kind in ITEMS.items():
        if isinstance(value, kind):
            return [tag, [encode(each, opaque) for each in value]]
    if isinstance(value, collections.abc.Iterator):
        items, more = [], False
        for each in value:
            more = len(items) == MAX_ITEMS
            if more:
                break
            items.append(encode(each, opaque))
        return ["iterator", [items, more]]
    if isinstance(value, type) and getattr(builtins, value.__name__, None) is value:
        return ["type", value.__name__]
    return ["opaque", opaque(value)]


def decode(node, opaque):
    """The value of ``node``; ``opaque(content)`` makes what stands for an object of the other side.

    Raises one of ``DECODING_ERRORS`` if it is none.
    """
    if not isinstance(node, list):
        if isinstance(node, dict):
            raise BadMessage("an untagged object")
        return node
    tag, content = node
    if tag in ITEMS:
        return VIEWS.get(tag, ITEMS[tag])([decode(each, opaque) for each in content])
    if tag in PAIRS:
        pairs = [(decode(k, opaque), decode(v, opaque)) for k, v in content]
        return collections.defaultdict(None, pairs) if tag == "defaultdict" else PAIRS[tag](dict(pairs))
    if tag == "iterator":
        return _iterator([decode(each, opaque) for each in content[0]], content[1])
    if tag == "type":
        found = getattr(builtins, content)
        if not isinstance(found, type):
            raise BadMessage(f"{content} is no type")
        return found
    if tag == "opaque":
        return opaque(content)
    if tag == "int":
        return int(content, 16)
    if tag in LIBRARY:
        module, _, back = LIBRARY[tag]
        return back(getattr(__import__(module), tag), content)
    return SCALARS[tag][2](content)


DECODING_ERRORS = (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError, OverflowError)
"""``BadMessage`` is a ``ValueError``."""


def _iterator(items, more):
    yield from items
    if more:
        raise MemoryError(f"an iterator of more than {MAX_ITEMS:,} items")


SCALARS = {
    "bytes": (bytes, bytes.hex, bytes.fromhex),
    "bytearray": (bytearray, bytearray.hex, bytearray.fromhex),
    "complex": (complex, lambda z: [z.real, z.imag], lambda parts: complex(*parts)),
    "range": (range, lambda r: [r.start, r.stop, r.step], lambda parts: range(*parts)),
    "ellipsis": (type(...), lambda _: None, lambda _: ...),
}
"""Tag: type, to content, from content."""
LIBRARY = {
    "Decimal": ("decimal", str, lambda kind, text: kind(text)),
    "Fraction": ("fractions", lambda q: [q.numerator, q.denominator], lambda kind, parts: kind(*parts)),
    "datetime": ("datetime", lambda d: d.isoformat(), lambda kind, text: kind.fromisoformat(text)),
    "date": ("datetime", lambda d: d.isoformat(), lambda kind, text: kind.fromisoformat(text)),
    "time": ("datetime", lambda d: d.isoformat(), lambda kind, text: kind.fromisoformat(text)),
    "timedelta": (
        "datetime",
        lambda d: [d.days, d.seconds, d.microseconds],
        lambda kind, parts: kind(*parts),
    ),
}
"""Name of the type: its module, to content, from content. Imported only where a value needs it: each costs a start."""
PAIRS = {
    "counter": collections.Counter,
    "defaultdict": collections.defaultdict,
    "ordereddict": collections.OrderedDict,
    "dict": dict,
}
ITEMS = {
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "deque": collections.deque,
    "keys": type({}.keys()),
    "values": type({}.values()),
    "items": type({}.items()),
}
VIEWS = {
    "keys": lambda keys: dict.fromkeys(keys).keys(),
    "values": lambda values: dict(enumerate(values)).values(),
    "items": lambda items: dict(items).items(),
}
