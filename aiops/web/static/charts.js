// Evidence charts: the observed line against its expected band, aligned in time across the page.
"use strict";
(() => {
  const REFRESH = 5000;
  const charts = new Map();
  const { colour, format, vertical, horizontal, fan, outside } = window.drawing;
  const say = (name) => document.body.getAttribute(`data-say-${name}`) || "";

  // In the zone that a person chose, else the browser's
  const zone = document.body.dataset.zone || Intl.DateTimeFormat().resolvedOptions().timeZone;
  const parts = (options) => new Intl.DateTimeFormat("sv", { timeZone: zone, ...options });
  const daytime = parts({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const date = parts({ month: "2-digit", day: "2-digit" });
  const clock = (at) => daytime.format(at * 1000);

  function columns(points) {
    const times = points.times.map((text) => Date.parse(text) / 1000);
    return [times, points.upper, points.lower, points.expected, points.observed];
  }

  // What was deployed, rolled out or configured on the way
  function changes(plot) {
    for (const one of document.querySelectorAll("#changes [data-at]")) vertical(plot, +one.dataset.at, colour("--info"), [1, 2], 1.5);
  }

  function above(plot, data) {
    changes(plot);
    if (data.started) vertical(plot, data.started, colour("--major"), [3, 3], 1.5);
    if (data.resolved) vertical(plot, data.resolved, colour("--good"), [3, 3], 1.5);
    if (data.bound !== null) horizontal(plot, data.bound, colour("--critical"));
  }

  function facts(holder) {
    const { metric, started, resolved, bound, breach } = holder.dataset;
    return {
      metric: metric || "",
      started: started ? +started : null,
      resolved: resolved ? +resolved : null,
      bound: bound === undefined ? null : +bound,
      breach: breach ? breach.split(" ").map(Number) : null,
    };
  }

  // The line decides the scale; band and limit may widen it, but never flatten the line to nothing
  function range(data, plot) {
    const [, upper, lower, , observed] = plot.data;
    const seen = observed.filter((v) => v !== null);
    let low = Math.min(...seen);
    let high = Math.max(...seen);
    if (!seen.length) return [0, 1];
    const room = Math.max((high - low) * 2, Math.abs(high) * 0.02, 1e-9);
    const reach = 20 * Math.max(high - low, Math.abs(high) * 0.02);
    if (data.bound !== null && (data.breach || Math.abs(data.bound - high) < reach)) {
      low = Math.min(low, data.bound);
      high = Math.max(high, data.bound);
    }
    const wish = [...upper, ...lower].filter((v) => v !== null);
    for (const value of wish) {
      if (value < low && value > low - room) low = value;
      if (value > high && value < high + room) high = value;
    }
    const pad = (high - low || Math.abs(high) || 1) * 0.08;
    return [low >= 0 && low - pad < 0 ? 0 : low - pad, high + pad];
  }

  function options(holder, data, reading) {
    const text = format(data.metric);
    const axis = { stroke: colour("--chart-axis"), font: "11px " + getComputedStyle(holder).fontFamily };
    const grid = { stroke: colour("--chart-grid"), width: 1 };
    const line = colour("--chart-line");
    const points = { show: false };
    return {
      width: holder.clientWidth,
      height: holder.clientHeight,
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), zone),
      legend: { show: false },
      padding: [8, 20, 0, 0],
      cursor: { sync: { key: "page", scales: ["x", null] }, points: { size: 6 }, y: false, drag: { x: true, y: false } },
      scales: { x: { time: true, range: (plot, low, high) => plot.window || [low, high] }, y: { range: (plot) => range(data, plot) } },
      axes: [
        { ...axis, grid, ticks: { show: false }, size: 24, values: ticks },
        { ...axis, grid, ticks: { show: false }, size: 66, values: (_, marks) => marks.map(text), space: 32 },
      ],
      series: [
        {},
        { points, stroke: "transparent", width: 0 },
        { points, stroke: "transparent", width: 0 },
        { points, stroke: colour("--chart-expected"), width: 1, dash: [3, 3] },
        { points, stroke: line, width: 1.6 },
      ],
      bands: [{ series: [1, 2], fill: colour("--chart-band") }],
      hooks: {
        draw: [outside, (plot) => fan(plot, data), (plot) => above(plot, data)],
        setCursor: [(plot) => read(plot, reading, text)],
      },
    };
  }

  function ticks(_plot, marks, _axis, _space, step) {
    return marks.map((at) => (step >= 86400 ? date.format(at * 1000) : clock(at).slice(0, step < 60 ? 8 : 5)));
  }

  function read(plot, reading, text) {
    const at = plot.cursor.idx;
    const value = at === null || at === undefined ? null : plot.data[4][at];
    reading.hidden = value === null;
    if (value === null) return;
    const [high, low] = [plot.data[1][at], plot.data[2][at]];
    const band = high === null || low === null ? "" : ` · ${say("expected")} ${text(low)} ${say("range-to")} ${text(high)}`;
    reading.textContent = `${clock(plot.data[0][at])} · ${text(value)}${band}`;
  }

  // All charts of the page share one span of time, so that what came first can be seen
  function align() {
    const live = [...charts.values()].filter((one) => one.plot && one.plot.data[0].length);
    if (!live.length || live.some((one) => one.span && zoomed(one.plot))) return;
    const from = Math.min(...live.map((one) => one.plot.data[0][0]));
    let to = Math.max(...live.map((one) => one.plot.data[0][one.plot.data[0].length - 1]));
    const ahead = to + (to - from) * 0.8;
    for (const one of live) if (one.data.breach && !one.data.resolved) to = Math.max(to, Math.min(one.data.breach[2], ahead));
    for (const one of live) {
      one.span = [from, to];
      one.plot.setScale("x", { min: from, max: to });
    }
  }

  // Zoom and pan move every chart of the page; the span stands in the address, so that a link shows the same
  function move(from, to) {
    charts.forEach((one) => one.plot && one.plot.setScale("x", { min: from, max: to }));
  }

  // uPlot sets scales a moment later
  function keep(plot) {
    setTimeout(() => {
      const { min, max } = plot.scales.x;
      const place = zoomed(plot) ? `#t=${Math.round(min)}-${Math.round(max)}` : location.pathname + location.search;
      if (location.hash || place.startsWith("#")) history.replaceState(history.state, "", place);
    }, 20);
  }

  function fromAddress() {
    const asked = /^#t=(\d+)-(\d+)$/.exec(location.hash);
    if (asked && +asked[2] > +asked[1]) move(+asked[1], +asked[2]);
  }

  function reset() {
    charts.forEach((one) => { one.span = null; });
    align();
  }

  function onKey(plot, event) {
    const { min, max } = plot.scales.x;
    const step = (max - min) / 5;
    const by = { ArrowLeft: [-step, -step], ArrowRight: [step, step], "+": [step, -step], "-": [-step, step] }[event.key];
    if (event.key === "0") reset();
    else if (by) move(min + by[0], max + by[1]);
    else return;
    event.preventDefault();
    keep(plot);
  }

  function onWheel(plot, event) {
    const along = event.shiftKey ? event.deltaY : event.deltaX;
    if (!event.ctrlKey && Math.abs(along) < 1) return;
    event.preventDefault();
    const { min, max } = plot.scales.x;
    const span = max - min;
    if (event.ctrlKey) {
      const at = plot.posToVal(plot.cursor.left, "x");
      const factor = event.deltaY > 0 ? 1.25 : 0.8;
      move(at - (at - min) * factor, at + (max - at) * factor);
    } else move(min + (span * along) / 600, max + (span * along) / 600);
    keep(plot);
  }

  function zoomed(plot) {
    const span = charts.get(plot.root.parentElement)?.span;
    const { min, max } = plot.scales.x;
    return Boolean(span) && (Math.abs(min - span[0]) > 0.5 || Math.abs(max - span[1]) > 0.5);
  }

  async function load(one) {
    const answer = await fetch(one.holder.dataset.points, { headers: { Accept: "application/json" } });
    if (!answer.ok) return;
    const points = columns(await answer.json());
    if (points[0].length < 2) return;
    if (one.plot) one.plot.setData(points, false);
    else draw(one, points);
    if (one.plot && zoomed(one.plot)) one.plot.redraw();
  }

  function draw(one, points) {
    const reading = document.createElement("span");
    reading.className = "reading";
    reading.hidden = true;
    one.points = points;
    one.holder.replaceChildren(reading);
    one.plot = new uPlot(options(one.holder, one.data, reading), points, one.holder);
    const { over } = one.plot;
    over.addEventListener("dblclick", () => setTimeout(() => { reset(); keep(one.plot); }));
    over.addEventListener("mouseup", () => setTimeout(() => one.plot && keep(one.plot), 50));
    over.addEventListener("wheel", (event) => onWheel(one.plot, event), { passive: false });
    if (one.keys) return;
    one.keys = true;
    one.holder.addEventListener("keydown", (event) => one.plot && onKey(one.plot, event));
  }

  async function refresh(first) {
    if (document.hidden && !first) return;
    for (const [holder] of charts) if (!holder.isConnected) charts.delete(holder);
    for (const holder of document.querySelectorAll(".plot[data-points]"))
      if (!charts.has(holder)) charts.set(holder, { holder, data: facts(holder), plot: null, fresh: true });
    const due = [...charts.values()].filter((one) => one.fresh || one.holder.dataset.live === "1");
    await Promise.allSettled(due.map((one) => load(one)));
    due.forEach((one) => { one.fresh = false; });
    align();
  }

  function redrawAll() {
    for (const one of charts.values()) {
      if (!one.plot) continue;
      const points = one.plot.data;
      one.plot.destroy();
      one.plot = null;
      one.span = null;
      draw(one, points);
    }
    align();
  }

  if (!window.uPlot) return;
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);
  new ResizeObserver(() => {
    for (const one of charts.values())
      if (one.plot) one.plot.setSize({ width: one.holder.clientWidth, height: one.holder.clientHeight });
  }).observe(document.getElementById("main"));
  document.addEventListener("htmx:after:swap", () => {
    if ([...document.querySelectorAll(".plot[data-points]")].some((holder) => !charts.has(holder))) refresh(false);
  });
  refresh(true).then(fromAddress);
  setInterval(() => refresh(false), REFRESH);
})();
