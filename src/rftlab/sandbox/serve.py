"""Inside the sandbox, the candidate's side: runs its program and answers calls. Knows nothing of tests."""

import io
import sys
import types

from rftlab.sandbox.codec import decode, encode, receive, send

MAX_PRINTED = 1 << 16
"""Characters printed in one call that go to the tests."""


def main(job, channel):
    """Answers until the other side hangs up. Messages: see ``Candidate.answer``."""
    candidate = Candidate()
    send(channel, candidate.guarded(lambda: candidate.load(job["source"])))
    while True:
        try:
            request = receive(channel)
        except EOFError:
            return 0
        send(channel, candidate.guarded(lambda request=request: candidate.answer(*request)))


class Candidate:
    """The program's module and the objects that were given away as numbers."""

    def __init__(self):
        self.module = types.ModuleType("program")
        self.objects = []
        sys.modules["program"] = self.module  # dataclasses and pickles look their module up

    def load(self, source):
        exec(compile(source, "<program>", "exec"), self.module.__dict__)

    def answer(self, what, target, *rest):
        """[name, NAME] | [get, OBJECT, NAME] | [set, OBJECT, NAME, VALUE] | [call, OBJECT, ARGS, KWARGS]; the value,
        and for a call the arguments where it has changed them."""
        if what == "name":
            return getattr(self.module, target)
        target = self.decode(target)
        if what == "get":
            return getattr(target, rest[0])
        if what == "set":
            return setattr(target, rest[0], self.decode(rest[1]))
        args, kwargs = self.decode(rest[0]), self.decode(rest[1])
        return Called(target(*args, **kwargs), args, rest[0])

    def guarded(self, work):
        """[value, DATA, PRINTED, ARGS or null] | [raised, names of its classes, text, PRINTED]."""
        printed = sys.stdout = io.StringIO()
        try:
            said, after = work(), None
            if isinstance(said, Called):
                value = self.encode(said.value)  # first: a generator works only now
                after = self.encode(said.args)
                after = None if after == said.before else after
            else:
                value = self.encode(said)
            return ["value", value, printed.getvalue()[:MAX_PRINTED], after]
        except BaseException as error:
            names = [kind.__name__ for kind in type(error).__mro__]
            return ["raised", names, describe(error), printed.getvalue()[:MAX_PRINTED]]

    def encode(self, value):
        return encode(value, self.give)

    def decode(self, node):
        return decode(node, self.objects.__getitem__)

    def give(self, value):
        self.objects.append(value)
        return len(self.objects) - 1


class Called:
    """A call's value beside its arguments, before and after."""

    def __init__(self, value, args, before):
        self.value, self.args, self.before = value, args, before


def describe(error):
    try:
        return str(error)[:500]
    except BaseException:  # a __str__ of the candidate's
        return ""
