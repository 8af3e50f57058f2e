"""Vectors of tasks, for samplers that predict a task's difficulty from what it says.

Computed only when a sampler needs them, from the prompts alone (never from answers), once per pool: the result is kept
in ``$RFTLAB_CACHE`` (``~/.cache/rftlab``). A source turns N prompts into a matrix; ``features`` then centres it, scales
the whole of it to mean variance 1, so that its leading directions stay the larger ones, and adds what the dataset says
of a task: one column per category and one for the level, each standardised.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rftlab.cache import cache_dir
from rftlab.core import InputError, TaskPool
from rftlab.first_line import first_line

log = logging.getLogger(__name__)

Matrix = NDArray[np.float32]
VERSION = 1
"""Of the arithmetic below; part of the cache's key."""


BUCKETS = 2**14
"""Hash buckets of each kind of n-gram: the SVD's time grows with them, and collisions are rare enough to be noise."""


class Source(Protocol):
    """What ``features._target_`` names: called with the pool, returns float [N, D]."""

    def __call__(self, pool: TaskPool) -> NDArray[Any]: ...


def features(pool: TaskPool, source: Source, key: Any, cache: Path | None = None) -> Matrix:
    """Features of the pool's tasks, float32 [N, D].

    Args:
        source: Turns the pool into a matrix.
        key: What decides its numbers, as plain data: the cache's key together with the pool.
        cache: Folder to keep them in; None = ``$RFTLAB_CACHE/features``, by default ``~/.cache/rftlab/features``.

    Raises:
        InputError: the source gave another number of rows than the pool has, or numbers that are not finite.
    """
    file = (cache or cache_dir("features")) / f"{pool.fingerprint}-{_digest(key, pool)}.npy"
    if (kept := _read(file, len(pool))) is not None:
        return kept
    text = np.asarray(source(pool), np.float32)
    if text.ndim != 2 or len(text) != len(pool) or not text.shape[1]:
        raise InputError(f"features: the source gave an array of shape {text.shape}, wanted [{len(pool)}, D]")
    if bad := int((~np.isfinite(text)).any(axis=1).sum()):
        raise InputError(f"features: {bad} of {len(pool)} rows are not finite numbers; features=hashed always works")
    made = np.concatenate([_scaled(text), *_labels(pool)], axis=1).astype(np.float32)
    _write(file, made)
    return made


def prompts(pool: TaskPool) -> list[str]:
    """What a task says, without the system message that all share."""
    return ["\n".join(m["content"] for m in task.prompt if m["role"] != "system") for task in pool.tasks]


def _scaled(x: Matrix) -> Matrix:
    centred = x - x.mean(axis=0, dtype=np.float64)
    spread = float(np.sqrt(np.mean(centred**2)))
    return centred / spread if spread > 0 else centred


def _labels(pool: TaskPool) -> list[Matrix]:
    """Standardised columns of category and level; an unknown level stands at the mean."""
    columns = []
    if pool.category is not None and len(pool.categories) > 1:
        columns.append(np.eye(len(pool.categories), dtype=np.float32)[pool.category])
    if pool.level is not None and not np.isnan(pool.level).all():
        columns.append(np.where(np.isnan(pool.level), np.nanmean(pool.level), pool.level)[:, None])
    return [(c - c.mean(axis=0)) / np.where((s := c.std(axis=0)) > 0, s, 1.0) for c in columns]


# ---------------------------------------------------------------- sources


def hashed(dim: int = 64, words: int = 2, characters: int = 5) -> Source:
    """Hashed n-grams of words and characters, reduced by a truncated SVD. No download, no training, seconds.

    Args:
        dim: Columns that are kept; fewer when the pool has fewer tasks.
        words: Longest n-gram of words.
        characters: Longest n-gram of characters within words, from 2 on.
    """
    for name, value in {"dim": dim, "words": words, "characters": characters}.items():
        if value < (2 if name == "characters" else 1):
            raise InputError(f"features.{name}={value}, wanted at least {2 if name == 'characters' else 1}")

    def source(pool: TaskPool) -> NDArray[Any]:
        from scipy.sparse import hstack
        from sklearn.feature_extraction.text import HashingVectorizer

        texts = prompts(pool)
        grams = [
            HashingVectorizer(n_features=BUCKETS, analyzer="word", ngram_range=(1, words), token_pattern=r"\S+"),
            HashingVectorizer(n_features=BUCKETS, analyzer="char_wb", ngram_range=(2, characters)),
        ]
        return _reduced(hstack([each.transform(texts) for each in grams]).tocsr(), dim)

    return source


def sentence_transformer(model: str | None = None, dim: int = 64, batch_size: int = 64) -> Source:
    """Sentence embeddings (also static ones) through the package sentence-transformers, reduced by a truncated SVD.

    Args:
        model: A folder, or a name on the Hugging Face hub.
        dim: Columns that are kept; those of the model when it has fewer.
        batch_size: Texts embedded at once.
    """
    if not model:
        raise InputError("features.model has no value: name a model, or a folder that holds one")

    def source(pool: TaskPool) -> NDArray[Any]:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError:
            raise InputError(
                "features=sentence_transformer needs the package sentence-transformers: pip install it, or give "
                "features=hashed"
            ) from None
        try:
            encoder = SentenceTransformer(model)
        except Exception as error:
            raise InputError(f"features.model={model} can't be loaded: {first_line(error)}") from error
        return _reduced(encoder.encode(prompts(pool), batch_size=batch_size, normalize_embeddings=True), dim)

    return source


def word_vectors(path: str | None = None, dim: int = 64) -> Source:
    """Mean of static word vectors, reduced by a truncated SVD. Words without a vector are left out.

    Args:
        path: A text file, a word and its numbers a line (GloVe's form; fastText's, whose first line is two counts).
        dim: Columns that are kept; those of the file when it has fewer.
    """
    file = _file("features.path", path)

    def source(pool: TaskPool) -> NDArray[Any]:
        texts = [text.lower().split() for text in prompts(pool)]
        found = _word_vectors(file, {word for text in texts for word in text})
        if not found:
            raise InputError(f"features.path={file} has a vector for none of the words of dataset {pool.name!r}")
        none = np.zeros(len(next(iter(found.values()))), np.float32)
        return _reduced(np.array([np.mean([found[w] for w in t if w in found] or [none], axis=0) for t in texts]), dim)

    return source


def file(path: str | None = None) -> Source:
    """Vectors of your own: an ``.npz`` with ``ids`` (task ids, text [M]) and ``vectors`` (float [M, D]), in any order.

    Args:
        path: The file. Tasks that the pool does not have are ignored; a task without a vector is an error.
    """
    where = _file("features.path", path)

    def source(pool: TaskPool) -> NDArray[Any]:
        try:
            with np.load(where, allow_pickle=False) as stored:
                row = {str(name): i for i, name in enumerate(stored["ids"])}
                vectors = np.asarray(stored["vectors"], np.float32)
        except Exception as error:
            raise InputError(f"features.path={where}: wanted an .npz with ids and vectors ({error})") from error
        known = sum(task.id in row for task in pool.tasks)
        if known < len(pool):
            raise InputError(
                f"features.path={where} has vectors for {known} of the {len(pool)} tasks of dataset {pool.name!r}: "
                "it was made for another pool; make it anew, or give features=hashed"
            )
        if vectors.ndim != 2 or len(vectors) != len(row):
            raise InputError(f"features.path={where}: {len(row)} ids, vectors of shape {vectors.shape}")
        return vectors[[row[task.id] for task in pool.tasks]]

    return source


def _reduced(x: Any, dim: int) -> NDArray[Any]:
    """The leading ``dim`` directions of a matrix, dense or sparse; itself when it is no wider."""
    if x.shape[1] <= dim:
        return np.asarray(x.toarray() if hasattr(x, "toarray") else x)
    from sklearn.decomposition import TruncatedSVD

    with np.errstate(invalid="ignore"):  # equal rows have no variance to explain
        return TruncatedSVD(min(dim, x.shape[0]), random_state=0).fit_transform(x)


def _file(key: str, path: str | None) -> Path:
    if not path:
        raise InputError(f"{key} has no value: name the file, or give features=hashed")
    if not Path(path).is_file():
        raise InputError(f"{key}={path}: no such file; features=hashed needs none")
    return Path(path)


def _word_vectors(file: Path, wanted: set[str]) -> dict[str, Matrix]:
    found: dict[str, Matrix] = {}
    width = None
    with file.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            word, *numbers = line.rstrip().split(" ")
            if number == 1 and len(numbers) == 1:
                continue  # fastText's counts
            width = width or len(numbers)
            if word in wanted:
                try:
                    found[word] = np.array(numbers, np.float32)
                except ValueError:
                    raise InputError(f"features.path={file}, line {number}: wanted a word and numbers") from None
                if len(numbers) != width:
                    raise InputError(f"features.path={file}, line {number}: {len(numbers)} numbers, wanted {width}")
    return found


# ---------------------------------------------------------------- the cache


def _digest(key: Any, pool: TaskPool) -> str:
    stamp = {}
    if (path := key.get("path")) and Path(path).is_file():  # another file under the same name is another source
        stat = Path(path).stat()
        stamp = {"size": stat.st_size, "mtime": stat.st_mtime_ns}
    text = json.dumps([VERSION, key, stamp, pool.arrays_fingerprint], sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _read(file: Path, rows: int) -> Matrix | None:
    try:
        kept = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None  # not there, or half a file of a process that died: made anew
    return kept if kept.dtype == np.float32 and kept.ndim == 2 and len(kept) == rows else None


def _write(file: Path, made: Matrix) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".tmp", delete=False) as part:
            np.save(part, made)
        os.replace(part.name, file)
    except OSError as error:
        log.warning("features are not kept (%s): set RFTLAB_CACHE to a folder that can be written", error)
