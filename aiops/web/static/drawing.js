// What charts draw by hand: units, marks, limits, forecasts.
"use strict";
window.drawing = (() => {
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

  // Where the line leaves the expected range: a thicker stroke over it, a dot where it is one sample
  function outside(plot) {
    const [times, upper, lower, , seen] = plot.data;
    const out = (i) => seen[i] !== null && upper[i] !== null && lower[i] !== null && (seen[i] > upper[i] || seen[i] < lower[i]);
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.strokeStyle = ctx.fillStyle = colour("--critical");
    ctx.lineWidth = 2.4 * devicePixelRatio;
    ctx.lineJoin = ctx.lineCap = "round";
    ctx.beginPath();
    for (let i = 0; i < times.length; i += 1) {
      if (!out(i)) continue;
      const x = plot.valToPos(times[i], "x", true);
      const y = plot.valToPos(seen[i], "y", true);
      if (i && out(i - 1)) ctx.lineTo(x, y);
      else {
        ctx.moveTo(x, y);
        ctx.lineTo(x, y); // round caps make a dot of it
      }
    }
    ctx.stroke();
    ctx.restore();
  }

  return { colour, format, vertical, horizontal, fan, outside };
})();
