"""The miner: what it groups, what it survives, and that it gives the same ids after a restart."""

import json
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.plugin import Miner
from aiops.plugin.load import load

ANIMALS = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen"]
NAMES = ["al", "bo", "cy", "di", "ed", "fa", "gu"]


def miner(**fields: object) -> Miner:
    made: Miner = load("detectors", "log_templates", Miner).model_validate(fields)  # type: ignore[type-abstract]
    return made


def text(of: Miner, line: str) -> str:
    found = of.find(of.add([line])[0])
    assert found
    return found.text


@pytest.mark.parametrize(
    ("line", "template"),
    [
        ("Received block blk_-1608999687919862906 of size 91178", "Received block <*> of size <*>"),
        ("user=alice uid=0 from 10.0.0.7:5060", "user=<*> uid=<*> from <*>"),
        ("open /var/lib/x/y.db failed", "open <*> failed"),
        ("GET https://shop.example/a?b=c took 15 ms", "GET <*> took <*>"),
        ("cache hit: true", "cache hit: <*>"),
        ("id 0xdeadbeef and 9f86d081884c7d65", "id <*> and <*>"),
        ("wrote 1536 B (1.5 KB) to disk", "wrote <*> to disk"),
        ('name="two words" done', "name=<*> done"),
        ("at 00:1b:44:11:3a:b7 lost", "at <*> lost"),
        ("nothing varies here", "nothing varies here"),
    ],
)
def test_what_varies_is_told_by_its_shape(line: str, template: str) -> None:
    assert text(miner(), line) == template


def test_a_syslog_header_does_not_split_templates_by_host() -> None:
    one = miner()
    ids = one.add(
        [
            "Jun 14 15:16:01 combo sshd[19939]: session closed for user root",
            "Dec  1 05:06:01 web-7.example sshd[2]: session closed for user root",
            "2024-01-02T03:04:05.678+01:00 other sshd[2]: session closed for user root",
        ]
    )
    assert len(set(ids)) == 1


def test_words_that_turn_out_to_vary_become_one_template_and_the_merges_are_told() -> None:
    one = miner()
    ids = [one.add([f"worker {name} took the lease"])[0] for name in ANIMALS]
    assert ids[0] == ids[-1] == 0
    merges = one.take_merges()
    assert {merge.into for merge in merges} == {0}
    assert len(merges) >= 4
    assert one.take_merges() == []
    found = one.find(ids[1])
    assert found
    assert found.text == "worker <*> took the lease"
    assert found.lines == 8


def test_errors_and_successes_of_one_form_stay_apart() -> None:
    one = miner()
    good, bad = one.add(
        ["job nightly finished with success today", "job nightly finished with failure today"]
    )
    assert good != bad


@pytest.mark.parametrize(
    ("line", "level", "template"),
    [
        (
            '{"level":"error","msg":"no route to 10.0.0.1","trace_id":"a1b2"}',
            "error",
            "ERROR no route to <*>",
        ),
        ('{"severity":"WARNING","message":"slow"}', "warning", "WARNING slow"),
        ('{"level":50,"msg":"boom"}', "error", "ERROR boom"),
        ('ts=2024-01-01T00:00:00Z level=warn msg="disk 91% full" dev=sda', "warning", "WARN disk <*> full"),
        ("2024-01-01 10:00:00,123 ERROR [main] x.Y - it broke", "error", ""),
        ("[Sun Dec 04 04:47:44 2005] [error] mod_jk child init 1 -2", "error", ""),
        ("\x1b[31mERROR\x1b[0m it broke", "error", "ERROR it broke"),
        ("all is well", "", "all is well"),
    ],
)
def test_levels_and_messages_are_understood(line: str, level: str, template: str) -> None:
    one = miner()
    found = one.find(one.add([line])[0])
    assert found
    assert found.level == level
    assert template in (found.text, "")


def test_masks_of_the_user_apply() -> None:
    one = miner(masks=[r"tenant-\w+"])
    assert len(set(one.add(["opened for tenant-abc now", "opened for tenant-xyz now"]))) == 1
    with pytest.raises(ValueError, match="bad regular expression"):
        miner(masks=["("])


def test_parameters_are_extracted_without_learning() -> None:
    one = miner()
    ident = one.add(["Received block blk_12 of size 91178 from 10.0.0.1"])[0]
    before = one.snapshot()
    found = one.extract("Received block blk_77 of size 5 from 10.9.9.9")
    assert found == (ident, ["blk_77", "5", "10.9.9.9"])
    assert one.extract("never seen at all") == (-1, [])
    assert one.snapshot() == before


lines = st.lists(st.text(st.characters(exclude_characters="\n"), max_size=60), max_size=30)


@settings(max_examples=60, deadline=None)
@given(lines)
def test_any_text_gets_an_id_that_is_known(given: list[str]) -> None:
    one = miner()
    ids = one.add(given)
    assert len(ids) == len(given)
    assert all(one.find(ident) for ident in ids)


def corpus(count: int = 3000) -> list[str]:
    rng = random.Random(5)
    forms = [
        lambda: f"user {rng.choice(NAMES)} logged in from 10.0.0.{rng.randrange(255)}",
        lambda: f"GET /items/{rng.randrange(9999)} {rng.choice((200, 404))} in {rng.randrange(90)} ms",
        lambda: f"worker {rng.choice(ANIMALS)} took the lease",
        lambda: (
            f"id {rng.getrandbits(64):016x} stored by {rng.choice('abcdefgh') * 4}.{rng.choice('xyz') * 3}"
        ),
    ]
    return [rng.choice(forms)() for _ in range(count)]


def test_lines_equal_after_deleting_digits_share_a_template_in_one_block() -> None:
    given = corpus()
    ids = miner().add(given)
    by_key: dict[str, set[int]] = {}
    for line, ident in zip(given, ids, strict=True):
        by_key.setdefault(re.sub(r"\d", "", line), set()).add(ident)
    assert all(len(found) == 1 for found in by_key.values())


def test_ids_survive_a_restart() -> None:
    given = corpus()
    one, other = miner(), miner()
    one.add(given)
    other.restore(json.loads(json.dumps(one.snapshot())))
    assert other.add(given) == one.add(given)
    assert other.snapshot() == one.snapshot()
    names = [one.find(ident) for ident in set(one.add(given))]
    assert names == [other.find(ident) for ident in set(other.add(given))]


def test_a_name_follows_from_the_line_alone() -> None:
    one, other = miner(), miner()
    other.add(["something else before"])
    first, second = one.find(one.add(["disk 7 is full"])[0]), other.find(other.add(["disk 8 is full"])[0])
    assert first
    assert second
    assert first.name == second.name
    assert first.id != second.id


def test_what_is_no_snapshot_is_refused_and_changes_nothing() -> None:
    one = miner()
    one.add(["a line"])
    before = one.snapshot()
    with pytest.raises(ValueError, match="no snapshot"):
        one.restore({"seen": 3})
    assert one.snapshot() == before


def test_templates_and_memory_are_bounded() -> None:
    one = miner(max_templates=200, cache_mb=1)
    rng = random.Random(1)
    words = ["".join(rng.choices("abcdefghijklmnop", k=6)) for _ in range(3000)]
    for _ in range(20):
        one.add([" ".join(rng.choices(words, k=rng.randint(3, 9))) for _ in range(300)])
    saved = one.snapshot()
    assert len(saved["patterns"]) <= 200
    assert len(saved["aliases"]) <= 4000
    assert len(saved["holes"]) <= 2 * 4 * 200
    forgotten = one.take_forgotten()
    assert len(forgotten) > 1000
    assert one.find(forgotten[0]) is None


def test_megabyte_lines_and_junk_are_survived() -> None:
    one = miner()
    ids = one.add(["x " * 500_000, "y" * 1_000_000, "\x00\x01\ufffd" * 1000, "", "{" * 5000, "\udc80 odd"])
    assert len(ids) == 6
    one.extract("<*>" * 1000)


def test_a_line_feed_is_refused() -> None:
    with pytest.raises(ValueError, match="line feed"):
        miner().add(["a\nb"])
