"""How a task's messages become the tokens that the model sees."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from rftlab.config import compose
from rftlab.core import InputError, Task, TaskPool
from rftlab.engines.base import Job, Sampling
from rftlab.engines.hf import HFEngine
from rftlab.policy import Policy
from rftlab.prompts import ASSETS, Prompts
from rftlab.update import Row

TASK = Task("t", 0, ({"role": "system", "content": "be brief"}, {"role": "user", "content": "sort: 3 1 2"}), "1 2 3")
TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{{ mood }}answer:"


def changed(folder: Path, drop: str | None = None, **settings: str | None) -> str:
    """The bundled model with other tokenizer settings."""
    shutil.copytree(ASSETS / "tiny", folder)
    file = folder / "tokenizer_config.json"
    kept = {k: v for k, v in (json.loads(file.read_text()) | settings).items() if v is not None}
    file.write_text(json.dumps(kept))
    if drop:
        (folder / drop).unlink()
    return str(folder)


def said(prompts: Prompts) -> str:
    return prompts.tokenizer.decode(prompts.ids(TASK).tolist())


def test_chat_is_the_tokenizers_own_template():
    prompts = Prompts.of(compose().model)
    messages = [dict(m) for m in TASK.prompt]
    wanted = prompts.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert prompts.ids(TASK).tolist() == wanted


def test_plain_is_the_bare_texts_even_where_there_is_a_template():
    assert said(Prompts.of(compose(["model.prompt=plain"]).model)) == "be brief\nsort: 3 1 2\n"


def test_a_file_is_a_template_of_ones_own_and_gets_the_options(tmp_path):
    (tmp_path / "own.jinja").write_text(TEMPLATE)
    cfg = compose([f"model.prompt={tmp_path / 'own.jinja'}", "model.template_options={mood: calm}"])
    assert said(Prompts.of(cfg.model)) == "system: be brief\nuser: sort: 3 1 2\ncalmanswer:"


def test_a_switch_of_the_template_reaches_it(tmp_path):
    (tmp_path / "own.jinja").write_text("{{ messages[0].content }}{% if not enable_thinking %}<none>{% endif %}")
    for value, wanted in (("true", "be brief"), ("false", "be brief<none>")):
        overrides = [f"model.prompt={tmp_path / 'own.jinja'}", f"model.template_options={{enable_thinking: {value}}}"]
        assert said(Prompts.of(compose(overrides).model)) == wanted


def test_a_model_without_a_template_is_one_line_with_both_ways_out(tmp_path):
    path = changed(tmp_path / "bare", drop="chat_template.jinja")
    with pytest.raises(InputError, match=r"has no chat template; give model\.prompt=plain.*model\.prompt=FILE\.jinja"):
        Prompts.load(path)
    assert Prompts.load(path, prompt="plain").ids(TASK).size


def test_a_missing_template_file_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"model\.prompt=.*nowhere\.jinja: wanted chat, plain or a file"):
        Prompts.load("bundled:tiny", prompt=str(tmp_path / "nowhere.jinja"))


def test_a_template_that_refuses_a_role_is_one_line(tmp_path):
    file = tmp_path / "strict.jinja"
    file.write_text("{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}")
    with pytest.raises(InputError, match=r"does not take messages of system, user \(no system role\)"):
        Prompts.load("bundled:tiny", prompt=str(file)).ids(TASK)


def test_prompts_that_do_not_fit_are_counted_and_the_longest_shown():
    prompts = Prompts.load("bundled:tiny")
    texts = ["a" * n for n in (5, 30, 50)]
    pool = TaskPool(
        tuple(Task(f"{i}", i, ({"role": "user", "content": t},), "") for i, t in enumerate(texts)), name="p"
    )
    lengths = prompts.lengths(pool)
    with pytest.raises(InputError, match=rf"2 of 3 prompts of p do not fit: the longest has {lengths.max()} tokens"):
        prompts.check_fit([pool], int(lengths[0]) + 10, 10)
    prompts.check_fit([pool], int(lengths.max()) + 10, 10)


def pool_of(name: str, *sizes: int) -> TaskPool:
    messages = [({"role": "user", "content": "a" * n},) for n in sizes]
    return TaskPool(tuple(Task(f"{name}{i}", i, m, "") for i, m in enumerate(messages)), name=name)


@pytest.mark.parametrize(
    ("context", "limit", "wanted", "unwanted"),
    [  # prompts of 9 to 54 tokens, completions of 40
        (
            49,
            512,
            r"; give model\.context=94, or leave those tasks out by model\.max_prompt_tokens=9$",
            "give model.max",
        ),
        (40, 512, r"; give model\.context=94$", "max_prompt_tokens"),
        (80, None, r"; give model\.max_new_tokens=26, or leave .* model\.max_prompt_tokens=40$", "model.context="),
        (80, 90, r"; give model\.context=90 model\.max_new_tokens=36, or leave .*_prompt_tokens=40$", "context=94"),
        (30, None, r"; shorten the prompts$", "give"),
    ],
)
def test_what_is_offered_for_a_short_context_repairs_it(context, limit, wanted, unwanted):
    prompts = Prompts.load("bundled:tiny")
    pools = [pool_of("train", 5, 30), pool_of("eval", 5, 50)]
    assert [prompts.lengths(pool).tolist() for pool in pools] == [[9, 34], [9, 54]]
    with pytest.raises(InputError, match=wanted) as found:
        prompts.check_fit(pools, context, 40, limit)
    assert unwanted not in str(found.value)


def test_a_bad_shape_is_no_matter_of_the_tokenizer():
    with pytest.raises(InputError, match=r"^model\.path=random:nowhere: no such shape; wanted a file like"):
        Prompts.load("random:nowhere")


@pytest.mark.parametrize("kind", ["PreTrainedTokenizerFast", "Qwen2Tokenizer"])  # the second makes one up, id 262
def test_a_tokenizer_without_a_pad_token_generates_and_trains_alike(kind, tmp_path):
    path = changed(tmp_path / "padless", pad_token=None, tokenizer_class=kind)
    for name in ("config.json", "generation_config.json"):
        kept = {k: v for k, v in json.loads((tmp_path / "padless" / name).read_text()).items() if k != "pad_token_id"}
        (tmp_path / "padless" / name).write_text(json.dumps(kept))
    assert Prompts.load(path).tokenizer.pad_token_id in (None, 262)
    tasks = [Task(t, i, ({"role": "user", "content": t},), "") for i, t in enumerate(("copy: ab", "reverse: abcdef"))]
    found = []
    for source in ("bundled:tiny", path):
        cfg = compose([f"model.path={source}", "algo.max_logp_gap=100"])
        policy = Policy(cfg.model, cfg.algo, Prompts.of(cfg.model), 0)
        engine = HFEngine(policy, merged=False, max_rows=8)
        done = engine.generate([Job(task, 0, 2) for task in tasks], Sampling(6), ("pad",))
        rows = [
            Row(policy.prompts.ids(task), c.tokens, c.logps, 1.0, 0.1, True)
            for task, group in zip(tasks, done, strict=True)
            for c in group
        ]
        policy.train(rows, 1e-3)
        found.append([*(r.tokens for r in rows), *(p.detach().numpy() for p in policy.parameters)])
    assert all(np.array_equal(a, b) for a, b in zip(*found, strict=True))
