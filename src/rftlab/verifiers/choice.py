r"""The completion must end in the right option: a letter, one of a few words, or a short text.

The statement that counts is what follows the last of these marks: ``\boxed{``, ``<answer>``, ``####``, "answer:",
"answer (option, choice) is / would be / should be / must be". It ends where the box or the tag closes, else with its
line. Without any mark it is the last line, which must then be the option itself or name it as ``(B)`` or "option B",
"Therefore, " aside. Only what follows the thoughts (``</think>``) is read: nothing, where they are never closed.

Reasons behind an option say nothing: "B because (A) is too short", "(B). Option C is wrong", "B, not A" name B alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from rftlab.core import InputError, Status, Task, Verdict
from rftlab.verifiers.base import Verifier
from rftlab.verifiers.boxes import until_closed
from rftlab.verifiers.fences import after_thoughts
from rftlab.verifiers.number import parse_number

TAIL = 20_000
"""Characters from the end of a completion that are read."""
LINE = 2_000
"""Characters of a statement that are read."""

_MARK = re.compile(
    r"(?i)(?P<box>\\boxed ?\{)|(?P<tag><answer>)|####|\banswer[*_ ]{0,4}[:=]"
    r"|\b(?:answer|option|choice)[*_:]{0,4} {1,4}(?:is|would be|should be|must be)\b"
)
_DRESSING = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mathit)(?![a-z])|\\[()\[\],;! {}$%]|[*`${}]")
_LINKS = ":=*_"
"""What may stand between a mark and its statement, and so says nothing at the beginning of an option."""
_WORD = r"(?:option|choice|answer|letter)"
_ALONE = re.compile(rf"(?:(?i:{_WORD}) )?(?P<open>[(\[]?)(?P<letter>[A-Za-z])(?P<close>[)\].:,;!]*)")
_LABELLED = re.compile(r"(?:[(\[](?P<a>[A-Za-z])[)\]]|(?P<b>[A-Za-z])[).:]|(?P<c>[A-Z]) [-–—])[:.]? *(?P<rest>.+)")
_NAMED = re.compile(rf"(?<![A-Za-z0-9])[(\[]([A-Za-z])[)\]]|(?i:\b{_WORD}) ([A-Z])(?![\w'’-])")
# "A" and "I" are words as well: before a lower-case word they are letters only where that word joins or reasons.
_BARE = re.compile(
    r"(?<![\w'’(\[\\-])(?:([B-HJ-Z])|([AI])(?! +(?!(?:and|as|because|is|or|since|which)\b)[a-z]))(?![\w'’)\]-])"
)
_NEGATED = re.compile(r"(?i)\b(?:not|neither|nor|never|except)\b|n[’']t\b")
_LEAD = re.compile(r"(?i)^\s*(?:therefore|thus|hence|so|finally|in conclusion),\s*")
_IDIOM = re.compile(r"\bno (?:doubt|question|matter|longer|more than)\b")
# Behind a label: a reason, what it is not, or further sentences that only say of others that they are wrong.
_REASON = re.compile(
    r"(?i)[,;]? (?:because|since|as)\b|[,;]?(?: and| but)?(?<!\bor)(?<!\bif) (?:not|rather than|instead of)\b"
    r"|\.(?=(?: (?:and )?(?:the )?(?:(?:options?|choices?|answers?) )?\(?[A-Z]\)? (?:is|are|was|would be) "
    r"(?:wrong|incorrect|false|not [a-z ]{1,40}|too [a-z ]{1,40})\.?)+$)"
)

Found = frozenset[str]
"""Labels that a statement names; right = exactly the gold one."""
NOTHING: Found = frozenset()


class Choice(Verifier):
    r"""Passes a completion whose final statement names the right option and no other.

    ``task.meta["options"]`` lists the options' texts, and ``task.answer`` says which of three kinds a task is:

    * a letter (``B`` or ``(B)``), the position in the list. "(B)", "b)", "**B**", "\boxed{\text{B}}", "#### B",
      "The answer is B because ...", "(B) 12 km" and the option's own text "12 km" pass; "(B) or (C)", "(B)" before
      another option's text, and a letter beyond the list do not. A lone lower-case "a" after "the answer is" may be an
      article and is not read, nor is "A" before a word, as in "A train arrives".
    * one of the options itself (yes/no, True/False, valid/invalid): "The answer is Yes, it does" passes, "yes or no"
      and "not valid" do not.
    * anything else, where the task lists no options: the whole statement must be the answer, apart from case, white
      space, quotes and a final full stop; numbers are compared by value.

    Args:
        letters: options of a task with a letter as its answer and no list of its own.
    """

    trusted = True

    def __init__(self, letters: int = 5) -> None:
        if not 2 <= letters <= 26:
            raise InputError(f"{letters} letters: wanted 2 to 26, verifier.check.letters=5")
        self.letters = letters

    def grade(self, text: str, task: Task) -> Verdict:
        gold, options = self._kind(task)
        said, mark = statement(text)
        if options is None:
            shown = _plain(said)
            passed = bool(shown) and _same(shown, task.answer)
            return Verdict(float(passed), passed, Status.OK if shown else Status.UNPARSABLE, shown or None)
        found = _lettered(said, options, mark) if _is_letter(gold) else _worded(said, options, bool(mark))
        if not found:
            return Verdict(0.0, False, Status.UNPARSABLE)
        passed = found == {gold}
        return Verdict(float(passed), passed, answer=", ".join(sorted(found)))

    def gold(self, task: Task) -> str:
        gold, _ = self._kind(task)
        return f"The answer is ({gold})." if _is_letter(gold) else f"The answer is {task.answer}."

    def alike(self, task: Task) -> list[str]:
        """The gold option in other dress; its text where that is one line and no other option's."""
        gold, options = self._kind(task)
        said = gold if options else task.answer
        dressed = [said, f"**{said}**", f"#### {said}", f"\\boxed{{{said}}}", f"<answer> {said} </answer>"]
        dressed += [f"Let me see.\nSo the answer is: **{said}**", f"The correct option is {said}", f"Answer: {said}\n"]
        if options is None:
            return [*dressed, f"The answer is {said}.0."] if re.fullmatch(r"-?[0-9]+", said) else dressed
        if not _is_letter(gold):
            return [*dressed, said.upper(), f"The answer is {said.lower()}, as we saw"]
        dressed += [f"({said})", f"{said}.", f"{said})", f"({said.lower()})", f"The answer is {said} because of that."]
        own = options[ord(gold) - ord("A")]
        return [*dressed, f"({said}) {own}", f"The answer is {own}"] if _speaks(own, options) else dressed

    def wrong(self, task: Task) -> list[str]:
        """The other options, two at once, a letter beyond the list, the gold letter before another option's text."""
        gold, options = self._kind(task)
        if options is None:
            return ["", "The answer is", *(f"The answer is {other}" for other in _near(task.answer))]
        lettered = _is_letter(gold)
        labels = [chr(ord("A") + i) for i in range(len(options))] if lettered else list(options)
        others = [label for label in labels if _normal(label) != _normal(gold)]
        wrong = ["", "The answer is", f"The answer is not {gold}"]
        wrong += [form.format(other) for other in others for form in ("The answer is {}.", "\\boxed{{{}}}", "{}")]
        wrong += [f"The answer is {gold} or {other}." for other in others]
        if lettered:
            texts = [text for text, label in zip(options, labels, strict=True) if label != gold]
            for text in (text for text in texts if _speaks(text, options)):
                wrong += [f"The answer is {text}", f"The answer is ({gold}) {text}"]
            wrong += [f"The answer is ({chr(ord('A') + len(options))})."] if len(options) < 26 else []
        return wrong

    def _kind(self, task: Task) -> tuple[str, tuple[str, ...] | None]:
        """The label of the gold option and the options' texts; None = the answer is free text."""
        listed = task.meta.get("options")
        options = tuple(map(str, listed)) if listed else None
        letter = re.fullmatch(r"\(?([A-Z])\)?", task.answer.strip())
        count = len(options) if options else self.letters
        if letter and ord(letter[1]) - ord("A") < count:
            return letter[1], options or ("",) * count
        if options is None and not letter:
            return task.answer, None
        for option in options or ():
            if _normal(option) == _normal(task.answer):
                return option, options
        raise ValueError(f"the gold answer {task.answer[:80]!r} is none of its {count} options")


def statement(text: str) -> tuple[str, str]:
    """What a completion states in the end, and the mark before it ("" = none, the last line)."""
    tail = after_thoughts(text)[-TAIL:]
    mark = None
    for mark in _MARK.finditer(tail):  # noqa: B007 - the last one is wanted
        pass
    if mark is None:
        return _LEAD.sub("", tail.rstrip().rpartition("\n")[2][-LINE:]), ""
    rest = tail[mark.end() : mark.end() + LINE]
    if mark["box"]:
        return until_closed(rest), mark.group()
    if mark["tag"]:
        return " ".join(rest.partition("</")[0].split()), mark.group()
    return rest.lstrip(f" \t\r\n{_LINKS}").partition("\n")[0], mark.group()


def _lettered(said: str, options: tuple[str, ...], mark: str) -> Found:
    """The letters that a statement names, of those that the options have."""
    text, texts = _plain(said), _normals(options)

    def known(letters: Sequence[str]) -> Found:
        return frozenset(each.upper() for each in letters if ord(each.upper()) - ord("A") < len(options))

    if alone := _ALONE.fullmatch(text):
        bare = alone["letter"] == "a" and not alone["open"] and alone["close"] in ("", ".", ",")
        article = bare and "answer" in mark.lower() and "<" not in mark  # "The answer is a", cut off there
        return NOTHING if article else known(alone["letter"])
    if named := _with_text(_normal(text), texts):
        return named if len(named) == 1 else NOTHING
    if labelled := _LABELLED.match(text):
        label = known(labelled["a"] or labelled["b"] or labelled["c"])
        if label and (named := _with_text(_normal(labelled["rest"]), texts)):
            return label if label <= named else label | named
    text = _stated(text)
    labelled = _LABELLED.match(text)
    first = min((m.start() for m in (_NAMED.search(text), _BARE.search(text)) if m), default=len(text))
    if _NEGATED.search(text[:first]):
        return NOTHING
    found = [a or b for a, b in _NAMED.findall(text)]
    if labelled and not labelled["a"]:
        found.append(labelled["b"] or labelled["c"])
    if mark:
        found += [a or b for a, b in _BARE.findall(text)]
    return known(found)


def _stated(text: str) -> str:
    """A statement up to its reasons, if a label stands before them."""
    for reason in _REASON.finditer(text):
        if _NAMED.search(text, 0, reason.start()) or _BARE.search(text, 0, reason.start()):
            return text[: reason.start()]
    return text


def _worded(said: str, options: tuple[str, ...], marked: bool) -> Found:
    """The options that a statement names as words."""
    text, by_normal = _normal(said), dict(zip(_normals(options), options, strict=True))
    if text in by_normal:
        return frozenset({by_normal[text]})
    if not marked:
        return NOTHING
    words = "|".join(re.escape(each) for each in sorted(by_normal, key=len, reverse=True))
    text = _IDIOM.sub("", text)
    found = list(re.finditer(rf"(?<!\w)(?:{words})(?!\w)", text))
    if any(_NEGATED.search(text[max(0, word.start() - 9) : word.start()]) for word in found):
        return NOTHING
    return frozenset(by_normal[word.group()] for word in found)


def _with_text(normal: str, texts: tuple[str, ...]) -> Found:
    return frozenset(chr(ord("A") + i) for i, text in enumerate(texts) if text and text == normal)


def _plain(text: str) -> str:
    """Without LaTeX and Markdown dress, also that which appears as other goes: what is bare stays as it is."""
    while (bare := " ".join(_DRESSING.sub("", text).split())) != text:
        text = bare
    return bare


def _normal(text: str) -> str:
    """What two spellings of an option have in common."""
    return _plain(text).casefold().strip(" .,;:!\"'").lstrip(f" {_LINKS}").replace(" ,", ",")


@lru_cache(maxsize=4096)  # of each task once for all of its rollouts
def _normals(options: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(_normal, options))


def _same(said: str, gold: str) -> bool:
    one, two = (parse_number(text.replace(" ", "")) for text in (said, gold))
    if one is None and two is not None and "=" in said:  # "10 + 14 = 24"
        before, _, result = said.rpartition("=")
        one = parse_number(result.replace(" ", "")) if parse_number(before.replace(" ", "")) is None else None
    if one is not None and two is not None:
        return one == two
    return re.sub(r"\s*,\s*", ",", _normal(said)) == re.sub(r"\s*,\s*", ",", _normal(gold))


def _is_letter(label: str) -> bool:
    return len(label) == 1 and "A" <= label <= "Z"


def _speaks(text: str, options: tuple[str, ...]) -> bool:
    """Whether the text of an option, stated alone, names it: one short line that is like no label and no other text."""
    plain, normal = _plain(text), _normal(text)
    like_label = _ALONE.fullmatch(plain) or _LABELLED.match(plain) or _MARK.search(text) or after_thoughts(text) != text
    short = bool(normal) and len(text) < LINE // 2 and len(text.splitlines()) == 1
    return short and not like_label and _normals(options).count(normal) == 1


def _near(answer: str) -> list[str]:
    """Texts near a free answer that are another one."""
    items = [item.strip() for item in answer.split(",")]
    near = [f"{answer} {answer}", f"x{answer}", ",".join(reversed(items)), ",".join(items[1:]), ",".join([*items, "0"])]
    value = parse_number(answer)
    if value is not None:
        near = [str(value + 1), str(value - 1), str(-value), f"{answer}1", f"{answer}x"]
    return [other for other in dict.fromkeys(near) if other.strip() and not _same(other, answer)]
