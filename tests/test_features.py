"""Vectors of tasks: what they hold, where they are kept, what is refused."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rftlab.config import compose
from rftlab.core import InputError, Need, Task, TaskPool, task_id
from rftlab.features import features, file, hashed, prompts, sentence_transformer, word_vectors
from rftlab.lab import prepared

WORDS = ["add", "sort", "copy", "reverse"]


def make_pool(n: int = 60, categories: bool = True, level: bool = True) -> TaskPool:
    rng = np.random.default_rng(0)
    kind = np.arange(n) % 4
    texts = [f"{WORDS[k]} {rng.integers(1000)} and {rng.integers(1000)}" for k in kind]
    messages = [({"role": "system", "content": "Be brief."}, {"role": "user", "content": t}) for t in texts]
    return TaskPool(
        tasks=tuple(Task(task_id(m, str(i)), i, m, str(i)) for i, m in enumerate(messages)),
        category=kind if categories else None,
        categories=tuple(WORDS) if categories else (),
        level=rng.integers(1, 6, n).astype(float) if level else None,
    )


def made(pool: TaskPool, tmp_path: Path, source=None, key=None) -> np.ndarray:
    return features(pool, source or hashed(dim=8), key or {"dim": 8}, cache=tmp_path)


def test_the_system_message_that_all_share_is_left_out() -> None:
    assert prompts(make_pool(1))[0].startswith("add ")


def test_shape_scale_and_label_columns(tmp_path: Path) -> None:
    pool = make_pool()
    x = made(pool, tmp_path)
    assert x.dtype == np.float32 and x.shape == (60, 8 + 4 + 1)
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose((x[:, :8] ** 2).mean(), 1, rtol=1e-4)
    np.testing.assert_allclose(x[:, 8:].std(axis=0), 1, rtol=1e-4)
    assert np.argmax(x[1, 8:12]) == 1
    level = pool.level
    np.testing.assert_allclose(x[:, 12], (level - level.mean()) / level.std(), rtol=1e-5)


def test_tasks_that_say_alike_lie_near_each_other(tmp_path: Path) -> None:
    pool = make_pool(categories=False, level=False)
    x = made(pool, tmp_path)
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    same = np.equal.outer(np.arange(60) % 4, np.arange(60) % 4)
    near = x @ x.T
    assert near[same].mean() > near[~same].mean() + 0.3


def test_an_unknown_level_stands_at_the_mean(tmp_path: Path) -> None:
    pool = make_pool()
    level = pool.level.copy()
    level[3] = np.nan
    assert made(replace(pool, level=level), tmp_path)[3, -1] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_pools_smaller_than_the_dimension(n: int, tmp_path: Path) -> None:
    x = made(make_pool(n), tmp_path)
    assert len(x) == n and np.isfinite(x).all()


def test_kept_by_pool_and_options_and_made_anew_when_damaged(tmp_path: Path) -> None:
    calls = []

    def source(pool: TaskPool) -> np.ndarray:
        calls.append(1)
        return np.arange(len(pool) * 2.0).reshape(-1, 2)

    first = made(make_pool(), tmp_path, source, {"dim": 2})
    np.testing.assert_array_equal(made(make_pool(), tmp_path, source, {"dim": 2}), first)
    assert len(calls) == 1
    made(make_pool(), tmp_path, source, {"dim": 3})
    made(make_pool(59), tmp_path, source, {"dim": 2})
    made(replace(make_pool(), level=None), tmp_path, source, {"dim": 2})
    assert len(calls) == 4
    for kept in tmp_path.glob("*.npy"):
        kept.write_bytes(kept.read_bytes()[:50])
    np.testing.assert_array_equal(made(make_pool(), tmp_path, source, {"dim": 2}), first)
    assert len(calls) == 5


def test_the_same_numbers_in_another_process(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; import numpy as np;"
        "from test_features import made, make_pool; np.save(sys.argv[2], made(make_pool(), Path(sys.argv[3])))"
    )
    out = tmp_path / "out.npy"
    subprocess.run([sys.executable, "-c", code, str(Path(__file__).parent), str(out), str(tmp_path / "b")], check=True)
    np.testing.assert_array_equal(np.load(out), made(make_pool(), tmp_path / "a"))


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "taken").write_text("a file where a folder is wanted")
    x = features(make_pool(), hashed(dim=8), {"dim": 8}, cache=tmp_path / "taken" / "x")
    assert len(x) == 60 and "RFTLAB_CACHE" in caplog.text


def test_wrong_numbers_are_refused(tmp_path: Path) -> None:
    def broken(pool: TaskPool) -> np.ndarray:
        x = np.ones((len(pool), 3))
        x[[4, 7], 1] = np.nan, np.inf
        return x

    with pytest.raises(InputError, match="2 of 60 rows are not finite"):
        made(make_pool(), tmp_path, broken)
    with pytest.raises(InputError, match=r"shape \(3, 2\), wanted \[60, D\]"):
        made(make_pool(), tmp_path, lambda pool: np.ones((3, 2)))
    with pytest.raises(InputError, match=r"features.dim=0, wanted at least 1"):
        hashed(dim=0)


def test_vectors_of_your_own_by_id_in_any_order(tmp_path: Path) -> None:
    pool = make_pool(categories=False, level=False)
    vectors = np.random.default_rng(1).normal(size=(61, 3)).astype(np.float32)
    ids = [t.id for t in pool.tasks] + ["another"]
    order = np.random.default_rng(2).permutation(61)
    np.savez(tmp_path / "own.npz", ids=np.array(ids)[order], vectors=vectors[order])
    x = file(str(tmp_path / "own.npz"))(pool)
    np.testing.assert_array_equal(x, vectors[:60])
    with pytest.raises(InputError, match=r"has vectors for 0 of the 1 tasks .* another pool"):
        file(str(tmp_path / "own.npz"))(replace(pool, tasks=(Task("z", 0, pool.tasks[0].prompt, "1"),)))
    (tmp_path / "bad.npz").write_text("no archive")
    with pytest.raises(InputError, match=r"wanted an .npz with ids and vectors"):
        file(str(tmp_path / "bad.npz"))(pool)
    with pytest.raises(InputError, match="no such file"):
        file(str(tmp_path / "none.npz"))
    with pytest.raises(InputError, match=r"features.path has no value"):
        file()


def test_a_changed_file_is_not_answered_from_the_cache(tmp_path: Path) -> None:
    pool, path = make_pool(categories=False, level=False), tmp_path / "own.npz"
    ids = np.array([t.id for t in pool.tasks])
    answers = []
    for scale in (1.0, 2.0):
        vectors = np.zeros((60, 2 + int(scale)))
        vectors[:, 0] = np.arange(60) * scale
        np.savez(path, ids=ids, vectors=vectors)
        answers.append(features(pool, file(str(path)), {"path": str(path)}, cache=tmp_path / "c").shape)
    assert answers == [(60, 3), (60, 4)]


def test_word_vectors_are_averaged_over_known_words(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("3 2\nadd 1 0\nand 0 1\nunused 5 5\n")
    pool = make_pool(4, categories=False, level=False)
    np.testing.assert_allclose(word_vectors(str(path))(pool), [[0.5, 0.5], [0, 1], [0, 1], [0, 1]])
    path.write_text("nothing 1 2\n")
    with pytest.raises(InputError, match="a vector for none of the words"):
        word_vectors(str(path))(pool)
    path.write_text("add 1 x\n")
    with pytest.raises(InputError, match="line 1: wanted a word and numbers"):
        word_vectors(str(path))(pool)


def test_sentence_transformer_says_what_it_lacks() -> None:
    with pytest.raises(InputError, match=r"features.model has no value"):
        sentence_transformer()
    try:
        import sentence_transformers  # noqa: F401
    except ImportError:
        with pytest.raises(InputError, match="pip install"):
            sentence_transformer("some/model")(make_pool(2))


def test_sentence_embeddings_of_a_model_in_a_folder(tmp_path: Path) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers", reason="the extra `embed` is not installed")
    modules = pytest.importorskip("sentence_transformers.sentence_transformer.modules")
    import rftlab

    tiny = modules.Transformer(str(Path(rftlab.__file__).parent / "assets" / "tiny"))
    pooling = modules.Pooling(tiny.get_embedding_dimension())
    sentence_transformers.SentenceTransformer(modules=[tiny, pooling]).save(str(tmp_path / "model"))
    x = sentence_transformer(str(tmp_path / "model"), dim=5)(make_pool(30))
    assert x.shape == (30, 5) and np.isfinite(x).all() and np.ptp(x, axis=0).min() > 0
    with pytest.raises(InputError, match=r"features.model=.* can't be loaded"):
        sentence_transformer(str(tmp_path / "none"), dim=5)(make_pool(2))


def test_only_a_sampler_that_reads_features_has_them_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RFTLAB_CACHE", str(tmp_path))
    overrides = ["dataset.limit=40", "dataset.references=null", "features.dim=4"]
    without = compose(["sampler=uniform", *overrides])
    assert prepared(without).train.features is None
    assert not list(tmp_path.rglob("*.npy"))
    cfg = compose(["sampler=mpts", *overrides])
    dataset = prepared(cfg)
    assert dataset.train.features.shape[0] == 40 and Need.FEATURES in dataset.train.has()
    assert len(list(tmp_path.rglob("*.npy"))) == 1
