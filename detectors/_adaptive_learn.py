"""How `adaptive` learns from a sample: one lane, strict float32, inlined into the block loop of `tick`.

Each step writes its own fields, and reads the others as they were unless it says otherwise.
"""

from aiops.plugin.columns import LANES
from detectors import _adaptive_fields as k
from detectors._adaptive_fields import f
from detectors._adaptive_judge import Block, View, clip, compiled, f32, flush, high_of, keep, log2, look


@compiled
def _young(mean: f32, gain: f32) -> f32:
    """The gain of a plain mean until that falls below `gain`."""
    return mean if mean > gain else gain


@compiled
def _learn_level(block: Block, j: int, learn: bool, v: View) -> None:
    """Holt's damped trend with Huber-clipped errors (Gelper, Fried and Croux 2010).

    A row of outliers that does not end is a new level, and is taken over at half its distance a sample.
    """
    value, count = block[k.VALUE + j], block[k.COUNT + j]
    shifted, settled = block[k.PATIENCE + j] > k.SHIFTED, count > f(4.5)
    error = value - v.predicted
    bounded = clip(error, -k.CLIP * v.usual, k.CLIP * v.usual) if settled else error
    level = v.predicted + clip(_young(v.mean, k.LEVEL_GAIN) * v.step, k.ZERO, k.ONE) * bounded
    level = v.predicted + k.HALF * error if shifted else level
    level = value if count < k.HALF else level
    steady = bounded if v.step < f(1.5) else k.ZERO
    trend = (block[k.TREND + j] + k.LEVEL_GAIN * k.TREND_GAIN * steady) * k.TREND_DAMP
    trend = trend if settled & ~shifted else k.ZERO
    usual = v.predicted + bounded if count > k.HALF else value
    block[k.BUCKET_SUM + j] = block[k.BUCKET_SUM + j] + (usual if learn else k.ZERO)
    keep(block, k.LEVEL + j, flush(level), learn)
    keep(block, k.TREND + j, flush(trend), learn)


@compiled
def _is_same(block: Block, j: int) -> bool:
    """Whether the value is the last one again, but for float noise."""
    moved: f32 = abs(block[k.VALUE + j] - block[k.LAST + j])
    return bool(moved <= k.RELATIVE_FLOOR * block[k.MAGNITUDE + j])


@compiled
def _learn_carry(block: Block, j: int, learn: bool, v: View) -> None:
    """AR(1) of the residual by normalised, clipped LMS. After `_learn_level`, whose new level it needs.

    What is too much for a residual is an outlier, which the next sample need not follow. But a series that
    wanders has no level to come back to: there the level takes it. Standing still says nothing of AR, and
    what mostly does so comes back from its bursts, however alike their samples are: it does not wander.
    """
    count, rho = block[k.COUNT + j], block[k.RHO + j]
    pull = clip(v.z, -k.CLIP, k.CLIP) * clip(v.lag, -k.CLIP, k.CLIP)
    moved = clip(rho + _young(v.mean, k.RHO_GAIN) * pull, k.ZERO, k.RHO_MAX)
    steady = (count > f(4.5)) & (v.step < f(1.5)) & (block[k.PATIENCE + j] < k.SHIFTED)
    keep(block, k.RHO + j, flush(moved), learn & steady & ~_is_same(block, j))
    wanders = clip((rho - k.WANDERS) * (k.ONE / k.WANDERS_BY), k.ZERO, k.ONE)
    wanders = wanders if block[k.FLAT + j] < k.HALF else k.ZERO
    left = block[k.VALUE + j] - block[k.LEVEL + j]
    bounded = clip(left, -k.CLIP * v.usual, k.CLIP * v.usual)
    keep(block, k.LEVEL + j, block[k.LEVEL + j] + wanders * (left - bounded), learn)
    keep(block, k.RESIDUAL + j, flush(bounded), learn)


@compiled
def _learn_scale(block: Block, j: int, learn: bool, v: View) -> None:
    """Mean absolute surprise, clipped as Huber's proposal 2, in units of a Gaussian's sigma."""
    count, scale, patience = block[k.COUNT + j], block[k.SCALE + j], block[k.PATIENCE + j]
    size = abs(v.z) * v.noise
    usual, least = high_of(block, j, v.noise) / block[k.SHAPE + j], k.CLIP * v.noise
    bound = patience * v.noise if patience > k.SHIFTED else (usual if usual > least else least)
    bounded = size if (size < bound) | (count < f(4.5)) else bound
    target = k.GAUSSIAN * bounded
    moved = scale + _young(v.mean, k.SCALE_GAIN) * (target - scale)
    moved = target if count < f(1.5) else moved
    keep(block, k.SCALE + j, flush(moved), learn & (count > k.HALF))


@compiled
def _learn_tail(block: Block, j: int, learn: bool, v: View) -> None:
    """Multiplicative stochastic steps (Robbins and Monro 1951) towards the sizes that 0.7 % and 10 % exceed.

    In the metric's unit, not in scales: these rise with an event, and fall with the quiet of a night. A long
    outlier teaches with its first samples only, until it is the new normal. After those that ask what the
    tail was when the sample was judged.
    """
    count, patience = block[k.COUNT + j], block[k.PATIENCE + j]
    begins, last = count < f(9.5), (count < k.YOUNG) & (count > k.YOUNG - k.ONE)
    size = abs(v.z) * (k.ONE if count < k.YOUNG else v.noise)
    high, shape, edge = block[k.HIGH + j], block[k.SHAPE + j], block[k.EDGE + j]
    gain = clip(k.TAIL_EARLY * v.mean, k.TAIL_GAIN, k.TAIL_FASTEST)
    grown = k.ONE + gain * ((k.ONE if size > high else k.ZERO) - k.P_HIGH)
    body = k.ONE - k.BODY_GAIN * gain * ((k.ONE if size * shape > high else k.ZERO) - k.P_BODY)
    target = clip(k.BEND * shape * shape, k.NEAREST, k.FARTHEST)
    fresh = (patience < k.FRESH) | (patience > k.SHIFTED)
    moved = high * grown if fresh else high
    bent = clip(shape * grown * body, k.LEAST_SHAPE, k.MOST_SHAPE) if fresh else shape
    moved = k.PRIOR_HIGH if begins else moved
    moved = moved * v.noise if last else moved
    keep(block, k.HIGH + j, moved if moved > k.ABSOLUTE_FLOOR else k.ABSOLUTE_FLOOR, learn)
    keep(block, k.SHAPE + j, k.PRIOR_SHAPE if begins else bent, learn)
    edge = edge + _young(v.doubted, k.EDGE_GAIN) * (target - edge)
    keep(block, k.EDGE + j, k.PRIOR_EDGE if begins else edge, learn)


@compiled
def _forget_bursts(block: Block, j: int, learn: bool) -> None:
    """What `_learn_bursts` does where no burst goes on, ends or begins."""
    keep(block, k.BURSTS + j, block[k.BURSTS + j] * (k.ONE - k.ONE / k.MEMORY), learn)


@compiled
def _learn_bursts(block: Block, j: int, learn: bool, v: View) -> None:
    """A burst is learnt once it is over, so that one that goes on keeps its score.

    One that was interrupted (held as a confirmed anomaly, or not seen) is not learnt: its end is not known.
    """
    episode, bursts = block[k.EPISODE + j], block[k.BURSTS + j]
    mean, spread = block[k.BURST_SIZE + j], block[k.BURST_SPREAD + j]
    deviation = abs(v.surprise)
    alike = (bursts > k.HALF) & (abs(v.z) > k.TWO * k.CLIP) & (log2(deviation) > mean - spread)
    high = alike | (v.body > k.BURST_SCORE)
    lasting = (high | (v.body > k.START)) & (block[k.PATIENCE + j] < k.SHIFTED)
    ended = learn & (episode > k.ZERO) & ~lasting
    counts = ended & (v.step < f(1.5))
    gain = k.BURST_GAIN if bursts > k.HALF else k.ONE
    excess = log2(episode) - mean
    wider = spread + gain * (abs(excess) - spread) if bursts > k.HALF else k.LEAST_SPREAD
    peak = deviation if high & (deviation > episode) else episode
    remembered = bursts * (k.ONE - k.ONE / k.MEMORY)
    keep(block, k.EPISODE + j, (peak if lasting else k.ZERO), learn)
    keep(block, k.BURSTS + j, (remembered + (k.ONE if counts else k.ZERO)), learn)
    keep(block, k.BURST_SIZE + j, mean + gain * excess, counts)
    keep(block, k.BURST_SPREAD + j, (wider if wider > k.LEAST_SPREAD else k.LEAST_SPREAD), counts)


@compiled
def _learn_slow(block: Block, j: int, learn: bool, v: View) -> None:
    """The sums behind `_slow_score`; an accepted shift starts them anew."""
    bounded = clip(v.z, -k.CLIP, k.CLIP)
    counts = (block[k.COUNT + j] > f(9.5)) & (block[k.PATIENCE + j] < k.SHIFTED)
    up = clip(block[k.CUSUM_UP + j] + bounded - k.SLACK, k.ZERO, k.CUSUM_MAX) if counts else k.ZERO
    down = clip(block[k.CUSUM_DOWN + j] - bounded - k.SLACK, k.ZERO, k.CUSUM_MAX) if counts else k.ZERO
    sums = block[k.SUMS + j]
    sums = sums + _young(v.doubted, k.SUMS_GAIN) * (up + down - sums)
    keep(block, k.SUMS + j, flush(sums), learn)
    keep(block, k.CUSUM_UP + j, up, learn)
    keep(block, k.CUSUM_DOWN + j, down, learn)


@compiled
def _learn_habits(block: Block, j: int, learn: bool, v: View) -> None:
    """Patience, flatness, interval, counts. Last: the others read them as they were."""
    value, count = block[k.VALUE + j], block[k.COUNT + j]
    gap, interval = block[k.GAP + j], block[k.INTERVAL + j]
    outlier = (abs(v.z) > k.CLIP) & (count > f(9.5))
    patience = block[k.PATIENCE + j]
    calmer = k.HALF if patience > k.SHIFTED else k.PATIENCE_DECAY
    patience = clip(patience * (k.PATIENCE_GROWTH if outlier else calmer), k.CLIP, f(1e12))
    magnitude, peak = block[k.MAGNITUDE + j], block[k.PEAK + j] * k.PEAK_DECAY
    flat = block[k.FLAT + j]
    flat = flat + _young(v.mean, k.FLAT_GAIN) * ((k.ONE if _is_same(block, j) else k.ZERO) - flat)
    bounded = clip(gap, k.HALF * interval, k.TWO * interval)
    usual = interval + k.INTERVAL_GAIN * (bounded - interval) if interval > k.ZERO else gap
    usual = usual if gap > k.ZERO else interval
    more = count + k.ONE if count < f(1e6) else count
    keep(block, k.PATIENCE + j, patience, learn)
    keep(block, k.FLAT + j, flat, learn)
    keep(block, k.PEAK + j, flush(magnitude if magnitude > peak else peak), learn)
    keep(block, k.LAST + j, value, learn)
    keep(block, k.INTERVAL + j, usual, learn)
    block[k.BUCKET_COUNT + j] = block[k.BUCKET_COUNT + j] + (k.ONE if learn else k.ZERO)
    keep(block, k.COUNT + j, more, learn)


@compiled
def step(block: Block, at: int, room: Block, warmup: f32, rare: bool) -> None:
    """Score all lanes under the state so far, then learn where LEARN is set. No sample changes nothing.

    `rare`: whether any lane has something that RARE tells of.
    """
    at = at & k.PLACES
    for lane in range(LANES):
        j = at + lane
        ready, learn = block[k.COUNT + j] >= warmup, block[k.LEARN + j] > k.ZERO
        present = block[k.VALUE + j] == block[k.VALUE + j]
        score, v = look(block, j, room, lane, rare)
        if rare:
            _learn_bursts(block, j, learn, v)
        else:
            _forget_bursts(block, j, learn)
        _learn_level(block, j, learn, v)
        _learn_carry(block, j, learn, v)
        _learn_scale(block, j, learn, v)
        _learn_tail(block, j, learn, v)
        _learn_slow(block, j, learn, v)
        _learn_habits(block, j, learn, v)
        block[k.SCORE + j] = score if present & ready else k.ZERO
        block[k.EXPECTED + j] = v.expected if ready else k.NAN
        block[k.REACH + j] = v.reach
