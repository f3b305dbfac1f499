// The chart of the last minute: latency as lines, requests as bars.

import { h, svg } from "./dom.js";

const SECONDS = 60;

/** A duration in milliseconds as people read it. */
export function duration(milliseconds) {
  if (milliseconds === null || milliseconds === undefined || !Number.isFinite(Number(milliseconds))) return "–";
  const value = Number(milliseconds);
  if (value === 0) return "0";
  if (value < 1) return `${digits(value * 1000)} µs`;
  return value < 1000 ? `${digits(value)} ms` : `${digits(value / 1000)} s`;
}

/** Three digits that matter. */
export function digits(value) {
  if (value >= 100) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(value >= 10 ? 3 : 2)));
}

/**
 * A chart with `.update(now_s, history)`. `size`: width and height in its own
 * units; with `axes`, it has a scale and a legend.
 */
export function latencyChart([width, height], axes) {
  const bars = svg("path", { class: "bars" });
  const p99 = svg("path", { class: "line p99" });
  const p50 = svg("path", { class: "line p50" });
  const grid = svg("path", { class: "grid" });
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", "aria-label": "Latency of the last minute", preserveAspectRatio: "none" }, grid, bars, p99, p50);
  const scale = h("span", { class: "scale" });
  const busiest = h("span", { class: "scale low" });
  const element = axes
    ? h("figure", { class: "latency" },
        h("div", { class: "plot" }, picture, scale),
        h("figcaption", {}, h("span", { class: "key p50" }, "p50"), h("span", { class: "key p99" }, "p99"), h("span", { class: "key rate" }, "requests/s"), busiest, h("span", { class: "scale low" }, "last 60 s")))
    : h("span", { class: "spark" }, picture);
  element.update = (now, history) => {
    const slots = lastMinute(now, history ?? []);
    const top = niceTop(Math.max(0, ...slots.map((slot) => Math.max(slot?.p99 ?? 0, slot?.p50 ?? 0))));
    const most = Math.max(0, ...slots.map((slot) => slot?.requests ?? 0));
    const x = (index) => ((index + 0.5) / SECONDS) * width;
    const y = (value) => height - 1.5 - (value / (top || 1)) * (height - 4);
    p50.setAttribute("d", line(slots, "p50", x, y));
    p99.setAttribute("d", line(slots, "p99", x, y));
    bars.setAttribute("d", columns(slots, most, width, height));
    grid.setAttribute("d", (axes && top ? [top, top / 2, 0] : [0]).map((value) => `M0 ${y(value)}H${width}`).join(""));
    scale.textContent = top ? duration(top) : "";
    busiest.textContent = most ? `up to ${most} a second` : "no requests yet";
    picture.setAttribute("aria-label", spoken(slots, most));
  };
  return element;
}

/** One slot per second, the newest last; empty where nothing is known. */
function lastMinute(now, history) {
  const slots = new Array(SECONDS).fill(null);
  for (const entry of history) {
    const index = SECONDS - 1 - (Math.floor(now) - Math.floor(entry.t));
    if (index >= 0 && index < SECONDS) slots[index] = entry;
  }
  return slots;
}

function niceTop(value) {
  if (!(value > 0)) return 0;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

/** A line that breaks where nothing was measured; a lone second becomes a dash. */
function line(slots, key, x, y) {
  let path = "";
  slots.forEach((slot, index) => {
    const value = slot?.[key];
    if (value === null || value === undefined) return;
    const before = index > 0 ? slots[index - 1]?.[key] : null;
    const height = y(value).toFixed(2);
    if (before === null || before === undefined) path += `M${(x(index) - x(0) * 0.7).toFixed(2)} ${height}H${(x(index) + x(0) * 0.7).toFixed(2)}`;
    else path += `L${x(index).toFixed(2)} ${height}`;
  });
  return path;
}

function columns(slots, most, width, height) {
  const step = width / SECONDS;
  return slots
    .map((slot, index) => {
      if (!slot?.requests) return "";
      const size = Math.max(1, (slot.requests / most) * height * 0.35);
      return `M${(index * step + step * 0.15).toFixed(2)} ${height}v${(-size).toFixed(2)}h${(step * 0.7).toFixed(2)}V${height}z`;
    })
    .join("");
}

function spoken(slots, most) {
  const newest = slots.findLast((slot) => slot?.requests);
  if (!newest) return "Latency of the last minute: no requests";
  return `Latency of the last minute: at last p50 ${duration(newest.p50)}, p99 ${duration(newest.p99)}; up to ${most} requests a second`;
}
