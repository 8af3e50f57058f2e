"""The completion must end in JSON that a JSON Schema allows, and that equals the answer where there is one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from rftlab.core import Status, Task, Verdict
from rftlab.first_line import first_line
from rftlab.verifiers import json_text
from rftlab.verifiers.base import Verifier


class JsonSchema(Verifier):
    """Passes a completion whose JSON is valid under the task's schema.

    The JSON is the last fenced block, else the whole text, else its last object or list. With a schema in
    ``Task.meta[schema_key]`` (an object or JSON text) the answer is an instance, and the completion's must equal it: as
    JSON Schema says, 1 equals 1.0, true is not 1, and the order of keys does not count. Without one, the answer is the
    schema itself. The draft is the one that ``$schema`` names, else 2020-12. References to other documents are never
    fetched: such a task cannot be graded. ``format`` is an annotation and not checked, the specification's default.

    Args:
        schema_key: where in the row the schema stands.
        equal: the instance must equal the answer; false = the answer is only an example of what is valid.
    """

    runs_candidate = (
        True  # a pattern of the schema may take for ever on what the candidate wrote: that is its own doing
    )

    def __init__(self, schema_key: str = "schema", equal: bool = True) -> None:
        self.schema_key = schema_key
        self.equal = equal

    def grade(self, text: str, task: Task) -> Verdict:
        schema, instance = self._task(task)
        validator = _validator(schema)
        try:
            said = json_text.last(text)
        except json_text.NoJson:
            return Verdict(0.0, False, Status.UNPARSABLE)
        passed = _valid(validator, said) and (instance is None or not self.equal or same(said, instance[0]))
        return Verdict(float(passed), passed, answer=json_text.shown(said))

    def gold(self, task: Task) -> str:
        return f"```json\n{json.dumps(self._example(task))}\n```"

    def alike(self, task: Task) -> list[str]:
        """Indented, without a fence, after words and other JSON, keys in another order."""
        example = self._example(task)
        texts = [
            json.dumps(_reordered(example), indent=2),
            f"<think>{{}}</think>{json.dumps(example, ensure_ascii=False)}",
        ]
        texts.append(f"```json\n[0]\n```\nBetter:\n```\n{json.dumps(example)}\n```")
        return texts + ([f'Not {{"a": 1}} but {json.dumps(example)}.'] if isinstance(example, dict | list) else [])

    def wrong(self, task: Task) -> list[str]:
        """Each part left out, of another type or changed, a key too many, no JSON."""
        schema, instance = self._task(task)
        example = self._example(task)
        validator = _validator(schema)
        exact = instance is not None and self.equal
        misses = [v for v in _changed(example) if not validator.is_valid(v) or (exact and not same(v, example))]
        return [*(f"```json\n{json.dumps(value)}\n```" for value in misses), "", "```json\n```", "no JSON here"]

    def _task(self, task: Task) -> tuple[str, tuple[Any] | None]:
        """The schema as JSON text, and the instance, if there is one, in a tuple: it may be null."""
        schema = task.meta.get(self.schema_key)
        if schema is None:
            return task.answer, None
        try:
            return schema if isinstance(schema, str) else json.dumps(schema), (json_text.parse(task.answer),)
        except (json_text.NoJson, TypeError) as error:
            raise ValueError(f"the gold answer {task.answer[:80]!r} or its schema is no JSON: {error}") from None

    def _example(self, task: Task) -> Any:
        schema, instance = self._task(task)
        if instance is not None:
            return instance[0]
        examples = json.loads(schema).get("examples") if _validator(schema).schema not in (True, False) else None
        if not examples:
            raise ValueError("a schema without an answer needs a valid instance under 'examples' to be validated")
        return examples[0]


def same(one: Any, other: Any) -> bool:
    """Equality as JSON Schema defines it."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    return bool(one == other)


@lru_cache(maxsize=512)
def _validator(schema: str) -> Any:
    """The validator of a schema; ``ValueError`` if it is none."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for
    from referencing import Registry

    try:
        content = json_text.parse(schema)
        if not isinstance(content, dict | bool):
            raise SchemaError("neither an object nor true or false")
        draft = validator_for(content, default=Draft202012Validator)
        draft.check_schema(content)
    except (json_text.NoJson, SchemaError) as error:
        raise ValueError(f"the schema {schema[:80]!r} is none: {first_line(error)[:200]}") from None
    return draft(content, registry=Registry())  # without one, remote references would be fetched


def _valid(validator: Any, instance: Any) -> bool:
    from referencing.exceptions import Unresolvable

    try:
        return validator.is_valid(instance)
    except (RecursionError, ArithmeticError):  # nested deeper than can be followed; 1e999 under multipleOf
        return False
    except Unresolvable as error:
        raise ValueError(f"the schema refers to what is not in it: {error}") from None


def _changed(value: Any) -> list[Any]:
    """Values near this one."""
    match value:
        case dict():
            near: list[Any] = [{k: v for k, v in value.items() if k != gone} for gone in value]
            near += [value | {key: other} for key, part in value.items() for other in _changed(part)[:4]]
            return [*near, value | {"zz_unknown": None}, [value], None]
        case list():
            near = [
                [*value[:i], other, *value[i + 1 :]] for i, part in enumerate(value[:4]) for other in _changed(part)[:4]
            ]
            return [*near, value[:-1], [*value, None], value[::-1], {"0": value}, None]
        case bool():
            return [not value, int(value), str(value).lower(), None]
        case int() | float():
            return [value + 1, -value, str(value), [value], None]
        case str():
            return [value + "x", value[:-1], value.swapcase(), [value], None]
    return [0, "", "null", False]


def _reordered(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _reordered(part) for key, part in reversed(value.items())}
    return [_reordered(part) for part in value] if isinstance(value, list) else value
