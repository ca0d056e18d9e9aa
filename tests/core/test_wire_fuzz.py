"""The short form of `python -m tests.bench.fuzz`; its messages are proper before they are mutated."""

import pytest

from tests.bench import fuzz, fuzz_seeds


@pytest.mark.parametrize(
    "kind", [kind for kind in fuzz_seeds.CORPUS if kind not in ("chunk_frames", "snappy", "gzip")]
)
def test_what_is_mutated_was_a_proper_message(kind: str) -> None:
    for one in fuzz_seeds.CORPUS[kind]:
        fuzz.Decoders().run(kind, one)


def test_no_mutation_of_any_message_does_more_than_be_refused() -> None:
    found = fuzz.fuzz(4000, seed=7)
    assert 0.3 < found["refused_share"] < 0.95
