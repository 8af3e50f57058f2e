"""Randomness by key."""

import numpy as np

from rftlab.engines.keyed import row_key, uniforms


def keys(count: int) -> list[int]:
    return [row_key(("train", 0, 1), f"task{i}", i % 8) for i in range(count)]


def test_a_uniform_depends_on_its_own_key_and_position_only():
    whole = uniforms(keys(50), np.arange(30))
    assert np.array_equal(uniforms(keys(50)[7:9], [11, 3]), whole[7:9][:, [11, 3]])


def test_every_part_of_the_key_matters():
    base = row_key(("train", 0, 1), "a", 0)
    others = [
        row_key(("eval", 0, 1), "a", 0),
        row_key(("train", 1, 1), "a", 0),
        row_key(("train", 0, 2), "a", 0),
        row_key(("train", 0, 1), "b", 0),
        row_key(("train", 0, 1), "a", 1),
        row_key(("train", 0, 11), "", 0),
    ]
    assert len({base, *others}) == 7


def test_uniforms_are_uniform_and_uncorrelated():
    u = uniforms(keys(4000), np.arange(25))
    assert (u >= 0).all() and (u < 1).all()
    counts = np.histogram(u, bins=50, range=(0, 1))[0]
    assert ((counts - u.size / 50) ** 2 / (u.size / 50)).sum() < 95  # chi-square, 49 degrees: p = 1e-4
    assert abs(np.corrcoef(u[:, 0], u[:, 1])[0, 1]) < 0.065  # four standard errors
    assert abs(np.corrcoef(u[:-1, 0], u[1:, 0])[0, 1]) < 0.065


def test_the_stream_of_key_zero_is_splitmix64():
    # first outputs of SplitMix64 seeded with 0, as published with the generator
    first = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert uniforms([0], range(3))[0].tolist() == [(x >> 11) * 2.0**-53 for x in first]
