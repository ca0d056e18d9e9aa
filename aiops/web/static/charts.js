// Evidence charts: the observed line against its expected band, aligned in time across the page.
"use strict";
(() => {
  const REFRESH = 5000;
  const charts = new Map();

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function scaled(value, steps, size, units) {
    let place = 0;
    while (Math.abs(value) >= size && place < units.length - 1) {
      value /= size;
      place += 1;
    }
    return `${+value.toPrecision(3)}${steps}${units[place]}`;
  }

  // The units that Prometheus' naming rules give a metric
  function format(metric) {
    if (metric.includes("bytes")) return (v) => scaled(v, " ", 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]);
    if (metric.endsWith("ratio")) return (v) => `${+(v * 100).toPrecision(3)} %`;
    if (metric.endsWith("seconds"))
      return (v) => (Math.abs(v) < 1 ? `${+(v * 1000).toPrecision(3)} ms` : `${+v.toPrecision(3)} s`);
    return (v) => scaled(v, "", 1000, ["", "k", "M", "G", "T"]);
  }

  const clock = (at) => new Date(at * 1000).toISOString().slice(11, 19);

  function columns(points) {
    const times = points.times.map((text) => Date.parse(text) / 1000);
    return [times, points.upper, points.lower, points.expected, points.observed];
  }

  function vertical(plot, at, style, dash, width = 1) {
    const { ctx } = plot;
    const x = plot.valToPos(at, "x", true);
    if (x < plot.bbox.left || x > plot.bbox.left + plot.bbox.width) return;
    ctx.save();
    ctx.strokeStyle = style;
    ctx.lineWidth = width * devicePixelRatio;
    ctx.setLineDash(dash.map((d) => d * devicePixelRatio));
    ctx.beginPath();
    ctx.moveTo(x, plot.bbox.top);
    ctx.lineTo(x, plot.bbox.top + plot.bbox.height);
    ctx.stroke();
    ctx.restore();
  }

  function horizontal(plot, value, style) {
    const { ctx } = plot;
    const y = plot.valToPos(value, "y", true);
    if (y < plot.bbox.top || y > plot.bbox.top + plot.bbox.height) return;
    ctx.save();
    ctx.strokeStyle = style;
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([5 * devicePixelRatio, 4 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(plot.bbox.left, y);
    ctx.lineTo(plot.bbox.left + plot.bbox.width, y);
    ctx.stroke();
    ctx.restore();
  }

  // From the last sample to the limit: the expected course, and the fan between the earliest and the latest
  function fan(plot, data) {
    const times = plot.data[0];
    const seen = plot.data[4];
    let last = seen.length - 1;
    while (last >= 0 && seen[last] === null) last -= 1;
    if (!data.breach || data.bound === null || last < 0) return;
    const { ctx, bbox } = plot;
    const x = (at) => plot.valToPos(Math.max(at, times[last]), "x", true);
    const from = [x(times[last]), plot.valToPos(seen[last], "y", true)];
    const bound = plot.valToPos(data.bound, "y", true);
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.fillStyle = ctx.strokeStyle = colour("--predicted");
    ctx.globalAlpha = 0.16;
    ctx.beginPath();
    ctx.moveTo(...from);
    ctx.lineTo(x(data.breach[0]), bound);
    ctx.lineTo(x(data.breach[2]), bound);
    ctx.fill();
    ctx.globalAlpha = 1;
    ctx.lineWidth = 1.5 * devicePixelRatio;
    ctx.setLineDash([5 * devicePixelRatio, 4 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(...from);
    ctx.lineTo(x(data.breach[1]), bound);
    ctx.stroke();
    ctx.restore();
  }

  function above(plot, data) {
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
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
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
        draw: [(plot) => fan(plot, data), (plot) => above(plot, data)],
        setCursor: [(plot) => read(plot, reading, text)],
      },
    };
  }

  function ticks(_plot, marks, _axis, _space, step) {
    return marks.map((at) => (step >= 86400 ? new Date(at * 1000).toISOString().slice(5, 10) : clock(at).slice(0, step < 60 ? 8 : 5)));
  }

  function read(plot, reading, text) {
    const at = plot.cursor.idx;
    const value = at === null || at === undefined ? null : plot.data[4][at];
    reading.hidden = value === null;
    if (value === null) return;
    const [high, low] = [plot.data[1][at], plot.data[2][at]];
    const band = high === null || low === null ? "" : ` · expected ${text(low)} to ${text(high)}`;
    reading.textContent = `${clock(plot.data[0][at])} · ${text(value)}${band}`;
  }

  // All charts of the page share one span of time, so that what came first can be seen
  function align() {
    const live = [...charts.values()].filter((one) => one.plot && one.plot.data[0].length);
    if (!live.length || live.some((one) => zoomed(one.plot))) return;
    const from = Math.min(...live.map((one) => one.plot.data[0][0]));
    let to = Math.max(...live.map((one) => one.plot.data[0][one.plot.data[0].length - 1]));
    const ahead = to + (to - from) * 0.8;
    for (const one of live) if (one.data.breach && !one.data.resolved) to = Math.max(to, Math.min(one.data.breach[2], ahead));
    for (const one of live) {
      one.span = [from, to];
      one.plot.setScale("x", { min: from, max: to });
    }
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
    one.plot.over.addEventListener("dblclick", () => setTimeout(() => { charts.forEach((c) => { c.span = null; }); align(); }));
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
  refresh(true);
  setInterval(() => refresh(false), REFRESH);
})();
