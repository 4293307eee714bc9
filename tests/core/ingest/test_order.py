"""Any order and number of events, and any interleaving of those who handle them, ends the same."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.ingest.worlds import IngestWorld, key_of, sha256

KEYS = [key_of("a.png"), key_of("b.png")]
# What an owner may do: put one of a few contents under a key, or remove it.
CONTENTS = [b"one", b"two*2", b"three*3", None]
CHUNKS = dict(zip(CONTENTS, (1, 2, 3, 0), strict=True))
Operation = tuple[str, bytes | None]
OPERATIONS = st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(CONTENTS)), max_size=8)
# What one turn may bring, the more frequent the oftener it stands here.
STEPS = [(), (), (), ("operate",), ("handle",), ("operate", "handle"), ("handle", "handle")]


class Story:
    """An owner who changes objects, and events that are told late, twice and in any order.

    `chance` says what happens whenever something may: nothing, the owner's next operation, or
    another process that handles an event, in the middle of the one that is at work.
    """

    def __init__(self, operations: list[Operation], chance: random.Random) -> None:
        self.world = IngestWorld()
        self.operations = operations[::-1]
        self.chance = chance
        self.pending: list[str] = []
        self.depth = 0

    def operate(self) -> None:
        """Let the owner do the next thing; S3 tells of it, at least once."""
        if not self.operations:
            return
        key, data = self.operations.pop()
        if data is None:
            self.world.assets.remove(key)
        else:
            self.world.assets.put(key, data)
        self.pending += [key] * self.chance.choice([1, 1, 1, 2])

    def handle(self) -> None:
        """Handle one of the pending events, whichever; one that did not work comes again."""
        if not self.pending or self.depth > 2:
            return
        key = self.pending.pop(self.chance.randrange(len(self.pending)))
        self.depth += 1
        try:
            if self.world.statuses(key) == ["later"]:
                self.pending.append(key)
        finally:
            self.depth -= 1

    def happen(self, *_: str) -> None:
        """Take a turn."""
        for step in self.chance.choice(STEPS):
            getattr(self, step)()

    def tell(self) -> dict[str, str]:
        """Go on until nothing is left to do; return which content each document stands for."""
        self.world.assets.before = self.happen
        # Between reading the collection and writing to it, and again after the write.
        self.world.index.records.before = self.happen
        self.world.index.records.after = self.happen
        while self.operations:
            self.happen()
        for _ in range(200):
            if not self.pending:
                return self.world.hashes()
            self.handle()
        raise AssertionError("it never ends")


@settings(derandomize=True, deadline=None, max_examples=150)
@given(OPERATIONS, st.integers(0, 2**32))
def test_the_documents_end_as_the_objects_are(operations: list[Operation], seed: int) -> None:
    story = Story(operations, random.Random(seed))  # noqa: S311 - chance, not a secret
    found = story.tell()
    state = dict(operations)
    assert found == {key: sha256(data) for key, data in state.items() if data is not None}
    # Neither has a version left chunks behind.
    assert len(story.world.documents()) == sum(CHUNKS[data] for data in state.values())


def test_an_old_version_read_before_an_overwrite_is_not_written_after_it() -> None:
    world = IngestWorld()
    [key, _] = KEYS
    world.assets.put(key, b"old")
    reads: list[str] = []

    def overwrite(operation: str, _key: str) -> None:
        reads.append(operation)
        # The old version has been read; another process takes the new one in before us.
        if reads == ["head", "get", "head"]:
            world.assets.put(key, b"new")
            assert world.statuses(key) == ["ingested"]

    world.assets.before = overwrite
    assert world.statuses(key) == ["later"]
    world.assets.before = lambda operation, key: None
    assert world.hashes() == {key: sha256(b"new")}
    assert world.statuses(key) == ["unchanged"]


def test_a_removed_object_is_not_brought_back_by_whoever_read_it_before() -> None:
    world = IngestWorld()
    [key, _] = KEYS
    world.assets.put(key, b"old")
    reads: list[str] = []

    def remove() -> None:
        # Ours has looked at the object for the last time: its write must fail.
        if not reads:
            reads.append("")
            world.assets.remove(key)
            assert world.statuses(key) == ["unchanged"]
            other = key_of("other.png")
            world.assets.put(other, b"other")
            assert world.statuses(other) == ["ingested"]

    world.index.records.before = remove
    assert world.statuses(key) == ["later"]
    assert world.statuses(key) == ["unchanged"]
    assert set(world.hashes()) == {key_of("other.png")}


@pytest.mark.parametrize("events", [["a", "a", "b"], ["b", "a"], ["a", "b", "a", "b"]])
def test_events_of_several_keys_in_one_batch_end_alike(events: list[str]) -> None:
    world = IngestWorld()
    keys = {name: key_of(f"{name}.png") for name in "ab"}
    world.assets.put(keys["a"], b"first*3")
    world.run(keys["a"])
    world.assets.put(keys["b"], b"second")
    world.assets.remove(keys["a"])
    world.run(*(keys[event] for event in events))
    assert world.hashes() == {keys["b"]: sha256(b"second")}


def test_an_object_that_was_another_only_while_it_was_read_is_stored_as_what_it_is() -> None:
    world = IngestWorld()
    [key, _] = KEYS
    world.assets.put(key, b"this")
    reads: list[str] = []

    def swap(operation: str, _key: str) -> None:
        reads.append(operation)
        if reads == ["head", "get"]:
            world.assets.put(key, b"that")
        elif reads == ["head", "get", "head"]:
            world.assets.put(key, b"this")

    world.assets.before = swap
    # That other version's event, and the last one's, come later: they find the last one.
    world.run(key)
    world.run(key)
    assert world.hashes() == {key: sha256(b"this")}
