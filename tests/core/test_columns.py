import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.plugin import LANES, Column, Columns, Layout

ROWED = [Layout.ROWS, Layout.BLOCKS, Layout.LAST]


def _columns(**more: Column) -> Columns:
    return Columns(
        rows=Column(np.float64, fill=np.nan, shape=(2,)),
        blocks=Column(np.float32, fill=7, shape=(3,), layout=Layout.BLOCKS),
        last=Column(np.int32, fill=-1, shape=(4,), layout=Layout.LAST),
        **more,
    )


def _row(columns: Columns, name: str, slot: int) -> np.ndarray:  # type: ignore[type-arg]
    """The values of one slot, whatever the layout; a view."""
    array = columns[name]
    match columns.spec[name].layout:
        case Layout.ROWS:
            return array[slot]
        case Layout.BLOCKS:
            return array[slot // LANES, ..., slot % LANES]
        case _:
            return array[..., slot]


def test_each_layout_puts_rows_where_it_says() -> None:
    columns = _columns()
    columns.ensure(40)
    assert columns.capacity % LANES == 0
    assert columns["rows"].shape == (columns.capacity, 2)
    assert columns["blocks"].shape == (columns.capacity // LANES, 3, LANES)
    assert columns["last"].shape == (4, columns.capacity)
    assert np.isnan(columns["rows"]).all()
    assert (columns["blocks"] == 7).all()
    assert (columns["last"] == -1).all()


@given(
    writes=st.lists(st.tuples(st.integers(0, 300), st.integers(-1000, 1000)), max_size=30),
    resets=st.one_of(
        st.lists(st.integers(0, 300), max_size=10, unique=True),
        st.builds(
            lambda start, count: [*range(start, start + count)], st.integers(0, 90), st.integers(0, 90)
        ),
    ),
)
def test_growth_and_reset_touch_only_what_they_should(
    writes: list[tuple[int, int]], resets: list[int]
) -> None:
    columns, expected = _columns(), {}
    for slot, value in writes:
        columns.ensure(slot + 1)
        for name in columns.spec:
            _row(columns, name, slot)[...] = value
        expected[slot] = value
    columns.reset(np.array(resets, np.int32))
    for slot in range(columns.capacity):
        for name, column in columns.spec.items():
            want = column.fill if slot in resets or slot not in expected else expected[slot]
            assert np.array_equal(_row(columns, name, slot), np.full(column.shape, want), equal_nan=True)


def test_capacity_grows_by_doubling_so_that_growth_is_cheap() -> None:
    columns = _columns()
    moves = 0
    for need in range(1, 5000):
        before = columns.capacity
        columns.ensure(need)
        moves += columns.capacity != before
    assert moves <= 8


def test_a_lazy_column_takes_nothing_until_asked() -> None:
    columns = _columns(season=Column(np.float32, shape=(50,), layout=Layout.LAST, lazy=True))
    columns.ensure(100)
    bytes_before = columns.nbytes
    assert not columns.allocated("season")
    assert columns["season"].shape == (50, 0)
    assert "season" not in columns.snapshot()
    columns.allocate("season")
    assert columns["season"].shape == (50, columns.capacity)
    assert columns.nbytes == bytes_before + columns["season"].nbytes
    columns["season"][3, 5] = 9
    columns.ensure(columns.capacity + 1)
    assert columns["season"][3, 5] == 9


def test_a_table_is_passed_by_growth_and_reset_but_not_by_snapshots() -> None:
    columns = _columns(table=Column(np.float64, shape=(5, 2), layout=Layout.TABLE))
    columns["table"][4] = 3
    columns.ensure(1000)
    columns.reset(np.array([4], np.int32))
    assert columns["table"].shape == (5, 2)
    assert (columns["table"][4] == 3).all()
    other = _columns(table=Column(np.float64, shape=(5, 2), layout=Layout.TABLE))
    other.restore(columns.snapshot())
    assert (other["table"][4] == 3).all()


def test_restore_takes_what_snapshot_gave_and_counts_generations() -> None:
    columns = _columns()
    columns.ensure(70)
    _row(columns, "blocks", 69)[...] = 5
    other = _columns()
    generation = other.generation
    other.restore(columns.snapshot())
    assert other.capacity == columns.capacity
    assert other.generation == generation + 1
    assert (_row(other, "blocks", 69) == 5).all()
    _row(other, "blocks", 69)[...] = 6
    assert (_row(columns, "blocks", 69) == 5).all()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda a: a.pop("rows"), "are not"),
        (lambda a: a.update(extra=np.zeros(3)), "are not"),
        (lambda a: a.update(rows=np.zeros((64, 3))), "'rows'"),
        (lambda a: a.update(blocks=np.zeros((4, 2, LANES))), "'blocks'"),
        (lambda a: a.update(last=np.zeros((4, 80))), "differ in length"),
        (lambda a: [a.update(rows=np.zeros((8, 2)), last=np.zeros((4, 8))), a.pop("blocks")], "are not"),
    ],
)
def test_restore_refuses_another_shape_and_changes_nothing(change, says: str) -> None:  # type: ignore[no-untyped-def]
    columns = _columns()
    columns.ensure(64)
    _row(columns, "last", 3)[...] = 8
    arrays = columns.snapshot()
    change(arrays)
    with pytest.raises(ValueError, match=says):
        columns.restore(arrays)
    assert columns.capacity == 64
    assert (_row(columns, "last", 3) == 8).all()


def test_restore_refuses_a_capacity_that_blocks_do_not_divide() -> None:
    columns = Columns(rows=Column(np.float64))
    with pytest.raises(ValueError, match="multiple"):
        columns.restore({"rows": np.zeros(LANES + 1)})
