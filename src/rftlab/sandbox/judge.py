"""Inside a sandbox of its own, the judge's side: runs the tests, and asks the candidate's process for values.

Expected values stay here. What the candidate answers is data (``codec``), compared by this process's own types: a lying
__eq__, a patched assert, an exit code or a printed word has nothing to act on.
"""

import builtins
import json
import os
import sys
from types import ModuleType

from rftlab.sandbox.codec import BadMessage, decode, encode, receive, send


class Gone(BaseException):
    """The candidate's process has ended, or what it says is no message. No ``Exception``: tests do not catch it."""


class Inexpressible(TypeError):
    """A test hands the candidate something that is no data: the tests' fault."""


class Unpassable(Inexpressible):
    """The same, of an object that may come from looking into a value of the candidate's: ``p.x`` of a class."""


class NotData(Exception):
    """A test looks into an object that only the candidate's process has."""

    from_candidate = True


def main(job, channel):
    """Prints "begun" and then the verdict, a JSON object, each on a line."""
    verdicts = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what tests print
    sys.stdout.reconfigure(errors="replace")  # half of a surrogate pair is printable, if the candidate prints it
    session = Session(channel)
    tally = Tally(job["assertions"], session)
    try:
        if "random" in job["tests"]:  # drawn cases are the same for everyone
            __import__("random").seed(0)
        tests = compile(job["tests"], "<tests>", "exec")
        names = Names(session, tally, job)
        setup = compile(job["setup"], "<setup>", "exec")
        print("begun", file=verdicts, flush=True)
        session.begin()
        exec(setup, names)
        for name in job["remote"]:
            names.pop(name, None)
        exec(tests, names)
        verdict = tally.verdict()
    except BaseException as error:
        verdict = tally.verdict(error)
    print(json.dumps(verdict), file=verdicts, flush=True)


class Session:
    """The wire to the candidate."""

    def __init__(self, channel):
        self.channel = channel
        self.heard = self.swayed = self.gone = self.ended = self.out_of_memory = False
        """The candidate has answered something since its program was loaded; has given data or an exception, on which
        the tests' way may depend; talks no more; has ended; met its memory limit."""

    def begin(self):
        """Waits until the program has been loaded."""
        self._answer()
        self.heard = self.swayed = False

    def ask(self, *request, args=()):
        try:
            send(self.channel, request)
        except OSError:
            self._hang_up("the program has ended", ended=True)
        return self._answer(args)

    def _answer(self, args=()):
        try:
            kind, *said = receive(self.channel)
            if kind == "value":
                value, printed, after = said
                value = decode(value, self.stand_in)
                self.swayed |= not isinstance(value, StandIn)
                for mine, theirs in zip(args, decode(after, self.stand_in) if after else (), strict=False):
                    overwrite(mine, theirs)
                error = None
            else:
                names, text, printed = said
                error = self.raised([str(name) for name in names], str(text))
                self.swayed = True
            sys.stdout.write(str(printed))
        except (EOFError, OSError):
            self._hang_up("the program has ended", ended=True)
        except (NotData, MemoryError):
            raise
        except Exception as problem:  # whatever came, it is the candidate's doing
            self._hang_up(f"no message: {problem}")
        self.heard = True
        if error:
            raise error
        return value

    def raised(self, names, text):
        """The exception of this side that the candidate's stands for."""
        self.out_of_memory |= names[:1] == ["MemoryError"]
        kinds = (getattr(builtins, name, None) for name in names)
        kind = next((k for k in kinds if isinstance(k, type) and issubclass(k, Exception)), RuntimeError)
        try:
            error = kind(text)
        except TypeError:  # UnicodeDecodeError wants five arguments
            error = RuntimeError(text)
        error.from_candidate = True
        return error

    def _hang_up(self, why, ended=False):
        self.gone, self.ended = True, ended
        raise Gone(why)

    def stand_in(self, number):
        if not isinstance(number, int):
            raise BadMessage("an object without a number")
        return StandIn(self, number)

    def encode(self, value):
        return encode(value, mine)


class StandIn:
    """An object of the candidate's process: to call, to read attributes of, to hand back; not to compare."""

    def __init__(self, session, number):
        object.__setattr__(self, "_session", session)
        object.__setattr__(self, "_node", ["opaque", number])

    def __call__(self, *args, **kwargs):
        session = self._session
        kwargs_node = session.encode(kwargs)
        return session.ask("call", self._node, session.encode(list(args)), kwargs_node, args=args)

    def __getattr__(self, name):
        return self._session.ask("get", self._node, name)

    def __setattr__(self, name, value):
        self._session.ask("set", self._node, name, self._session.encode(value))

    def _not_data(self, *_):
        raise NotData("the program returned something that is no data")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __hash__ = _not_data


def mine(value):
    if isinstance(value, StandIn):
        return value._node[1]
    own = getattr(value, "__module__", None) == "tests" or isinstance(getattr(value, "__self__", None), ModuleType)
    kind = Inexpressible if own else Unpassable
    raise kind(f"the tests pass a {type(value).__name__} to the program: only data can be passed")


def overwrite(mine, theirs):
    """What a call has done to its argument, done here too."""
    if isinstance(mine, list | bytearray) and type(mine) is type(theirs):
        mine[:] = theirs
    elif isinstance(mine, dict | set) and type(mine) is type(theirs):
        mine.clear()
        mine.update(theirs)


class Names(dict):
    """The tests' names; what they do not define is a standard module or else the candidate's."""

    def __init__(self, session, tally, job):
        super().__init__(job["values"], __name__="tests", __held__=tally.held, __failed__=tally.failed)
        self.session, self.remote = session, set(job["remote"])

    def __missing__(self, name):
        if name not in self.remote and hasattr(builtins, name):
            raise KeyError(name)
        if name in sys.stdlib_module_names and name not in self.remote:
            return self.setdefault(name, __import__(name))
        return self.setdefault(name, self.session.ask("name", name))


class Tally:
    """Counts assertions where the tests report them (``rftlab.sandbox.watched``)."""

    def __init__(self, written, session):
        self.written, self.session = written, session
        self.passed = self.seen = 0

    def held(self):
        self.seen += 1
        self.passed += 1

    def failed(self):
        error = sys.exc_info()[1]
        if isinstance(error, Gone) or broken(error, self.session.swayed):
            raise error
        self.seen += 1

    def verdict(self, error=None):
        """outcome: passed | failed | limit | ended (by itself) | fault; share of the assertions; why."""
        session = self.session
        total = max(self.written, self.seen + (error is not None), 1)
        if error is None and self.passed == self.seen and not session.gone:
            if session.heard:
                return {"outcome": "passed", "share": 1.0, "why": ""}
            error = Inexpressible("the tests never ask the program for anything")
        why = f"{type(error).__name__}: {error}"[:500] if error else f"{self.passed} of {total} assertions hold"
        share = self.passed / total
        if session.out_of_memory or isinstance(error, MemoryError):
            return {"outcome": "limit", "share": share, "why": why}
        innocent = isinstance(error, Gone) or getattr(error, "from_candidate", False) or error is None
        if not innocent and (broken(error, session.swayed) or not session.heard):
            return {"outcome": "fault", "share": 0.0, "why": why}
        return {"outcome": "ended" if session.ended else "failed", "share": share, "why": why}


def broken(error, swayed):
    """An error that no value of a candidate causes in sound tests. After data of the candidate's, that is a name or a
    module that the tests' own text lacks: ``eval(f(1))`` may raise anything."""
    if getattr(error, "from_candidate", False):
        return False
    if not swayed:
        return isinstance(error, NameError | ImportError | SyntaxError | Inexpressible)
    if isinstance(error, NameError | ImportError):
        return not isinstance(error, UnboundLocalError) and place_of(error) in ("<tests>", "<setup>")
    return isinstance(error, Inexpressible) and not isinstance(error, Unpassable)


def place_of(error):
    """The file whose code has raised it."""
    trace = error.__traceback__
    while trace.tb_next:
        trace = trace.tb_next
    return trace.tb_frame.f_code.co_filename
