"use strict";
// One cursor and one part of the time axis for all charts, in step with the video.
const { width, seconds: length, clock } =
  JSON.parse(document.getElementById("axis").textContent);
const charts = [...document.querySelectorAll("svg.axis")];
const video = document.querySelector("video");
const tools = document.getElementById("zoom");
const shortest = Math.min(length, Math.max(length / 5000, 0.001));
const parsed = new Map();
// The part of the axis that is shown, in seconds, and the instant of the cursor, or null.
let from = 0, until = length, at = null;

const limit = (value, low, high) => Math.min(Math.max(value, low), high);
const plain = number => String(Number(number.toPrecision(3)));

function pointsOf(line) {
  if (!parsed.has(line)) {
    const pairs = line.getAttribute("points").split(" ");
    parsed.set(line, pairs.map(pair => pair.split(",").map(Number)));
  }
  return parsed.get(line);
}

// The value of a curve at x, read back from its newest point; null before the first.
function valueAt(chart, line, x) {
  const points = pointsOf(line);
  if (x < points[0][0] - 1e-3) return null;
  let first = 0, last = points.length - 1;
  while (first < last) {
    const middle = (first + last + 1) >> 1;
    if (points[middle][0] <= x) first = middle; else last = middle - 1;
  }
  const [low, high] = ["low", "high"].map(name => Number(chart.dataset[name]));
  const part = 1 - points[first][1] / chart.viewBox.baseVal.height;
  return chart.dataset.log === "1" ? low * (high / low) ** part : low + (high - low) * part;
}

// Put the cursor at an instant, in seconds of flight.
function show(seconds) {
  at = limit(seconds, 0, length);
  const x = width * at / length;
  for (const chart of charts) {
    const cursor = chart.querySelector(".cursor");
    cursor.setAttribute("transform", `translate(${x},0)`);
    cursor.style.visibility = "visible";
    const words = [`${at.toFixed(until - from < 0.5 ? 4 : 2)} s`];
    for (const line of chart.querySelectorAll("polyline")) {
      const value = valueAt(chart, line, x);
      if (value !== null) words.push(`${line.dataset.name} ${plain(value)}`);
    }
    chart.parentElement.querySelector(".readout").textContent = words.join("   ");
  }
}

// Round numbers of seconds in the part that is shown.
function ticks() {
  const about = limit(charts[0].getBoundingClientRect().width / 100, 3, 8);
  const rough = (until - from) / about, scale = 10 ** Math.floor(Math.log10(rough));
  const step = scale * [1, 2, 5, 10].find(m => scale * m >= rough * 0.999);
  const found = [];
  for (let k = Math.ceil(from / step - 1e-9); k * step <= until + 1e-9 * step; k++)
    found.push(Number((k * step).toFixed(9)));
  return found;
}

// Show a part of the time axis in all charts.
function zoom(begin, end) {
  const span = limit(end - begin, shortest, length);
  from = limit((begin + end - span) / 2, 0, length - span);
  until = from + span;
  const found = ticks();
  for (const chart of charts) {
    const height = chart.viewBox.baseVal.height;
    chart.setAttribute("viewBox", `${width * from / length} 0 ${width * span / length} ${height}`);
    const lines = chart.querySelector(".seconds");
    if (lines) lines.replaceChildren(...found.map(second => {
      const line = document.createElementNS(chart.namespaceURI, "path");
      line.setAttribute("class", "grid");
      line.setAttribute("d", `M${width * second / length},0V${height}`);
      return line;
    }));
  }
  for (const labels of document.querySelectorAll(".x")) {
    labels.replaceChildren(...found.map(second => {
      const label = document.createElement("span");
      label.style.left = `${100 * (second - from) / span}%`;
      label.textContent = String(second);
      return label;
    }));
  }
  tools.querySelector("output").textContent =
    span < length ? `${plain(from)} to ${plain(until)} s` : "the whole flight";
  document.documentElement.dataset.zoom = (length / span).toFixed(1);
  if (at !== null) show(at);
}

const scale = (factor, centre) => zoom(centre - (centre - from) * factor,
                                       centre + (until - centre) * factor);
const shift = part => zoom(from + part * (until - from), until + part * (until - from));
const middle = () => at !== null && at >= from && at <= until ? at : (from + until) / 2;
const actions = {
  in: () => scale(1 / 2, middle()), out: () => scale(2, middle()),
  earlier: () => shift(-1 / 2), later: () => shift(1 / 2), whole: () => zoom(0, length),
};
const keys = { "+": "in", "=": "in", "-": "out", ArrowLeft: "earlier", ArrowRight: "later", 0: "whole" };

// The clock holds pairs of seconds, of video and of flight, at which the two were set equal.
function flightTime(seconds) {
  let [film, flight] = clock[0];
  for (const pair of clock) if (pair[0] <= seconds + 1e-6) [film, flight] = pair;
  return flight + seconds - film;
}

function videoTime(seconds) {
  let index = 0;
  clock.forEach((pair, k) => { if (pair[1] <= seconds) index = k; });
  const [film, flight] = clock[index];
  const end = index + 1 < clock.length ? clock[index + 1][0] : Infinity;
  return Math.max(Math.min(film + seconds - flight, end), 0);
}

function go(seconds) {
  if (video) video.currentTime = videoTime(seconds);
  show(seconds);
}

for (const chart of charts) {
  const fingers = new Map();
  let begun = null, moved = false;
  const pointed = event => {
    const box = chart.getBoundingClientRect();
    return from + (until - from) * limit((event.clientX - box.left) / box.width, 0, 1);
  };
  const selection = document.createElementNS(chart.namespaceURI, "rect");
  selection.setAttribute("class", "selection");
  selection.setAttribute("height", chart.viewBox.baseVal.height);
  const select = (a, b) => {
    selection.setAttribute("x", width * Math.min(a, b) / length);
    selection.setAttribute("width", width * Math.abs(a - b) / length);
    chart.append(selection);
  };
  chart.addEventListener("pointerdown", event => {
    fingers.set(event.pointerId, event.clientX);
    if (event.pointerType === "mouse" && event.button === 0) {
      begun = { second: pointed(event), x: event.clientX };
      chart.setPointerCapture(event.pointerId);
    }
    moved = false;
  });
  chart.addEventListener("pointermove", event => {
    if (!video || video.paused) show(pointed(event));
    const old = fingers.get(event.pointerId);
    if (fingers.size === 2) {
      // Two fingers: what is under each of them stays under it.
      const [other] = [...fingers].filter(([id]) => id !== event.pointerId).map(([, x]) => x);
      const before = Math.abs(old - other), after = Math.abs(event.clientX - other);
      if (before > 5 && after > 5) scale(before / after, pointed({ clientX: other }));
      moved = true;
    } else if (begun && Math.abs(event.clientX - begun.x) > 5) {
      select(begun.second, pointed(event));
      moved = true;
    }
    if (old !== undefined) fingers.set(event.pointerId, event.clientX);
  });
  const released = event => {
    fingers.delete(event.pointerId);
    selection.remove();
    if (begun && moved && event.type === "pointerup") {
      const end = pointed(event);
      zoom(Math.min(begun.second, end), Math.max(begun.second, end));
    }
    begun = null;
  };
  chart.addEventListener("pointerup", released);
  chart.addEventListener("pointercancel", released);
  chart.addEventListener("click", event => { if (!moved) go(pointed(event)); });
  chart.addEventListener("dblclick", actions.whole);
  chart.addEventListener("wheel", event => {
    if (!event.ctrlKey) return;  // Without Ctrl the page scrolls; a pinch on a pad has it.
    event.preventDefault();
    scale(2 ** limit(event.deltaY / 200, -1, 1), pointed(event));
  }, { passive: false });
}
for (const [name, action] of Object.entries(actions))
  tools.querySelector(`[name=${name}]`).addEventListener("click", action);
document.addEventListener("keydown", event => {
  if (event.target.matches("video") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (keys[event.key] === undefined) return;
  if (event.key.startsWith("Arrow") && until - from === length) return;
  actions[keys[event.key]]();
  event.preventDefault();
});
tools.hidden = false;

// report.html#t=12.5 opens at that second of the flight, #t=12.5,14 shows the time between two.
const [opened, ended] = ((/^#t=(.*)$/.exec(location.hash) || [])[1] || "").split(",").map(parseFloat);
zoom(0, length);
if (ended > opened) zoom(opened, ended);
if (Number.isFinite(opened)) show(opened);
if (video) {
  const follow = () => {
    show(flightTime(video.currentTime));
    if (!video.paused) requestAnimationFrame(follow);
  };
  video.addEventListener("play", follow);
  video.addEventListener("seeked", () => show(flightTime(video.currentTime)));
  const ready = () => {
    document.documentElement.dataset.video = video.duration.toFixed(3);
    if (Number.isFinite(opened)) video.currentTime = videoTime(opened);
  };
  if (video.readyState > 0) ready(); else video.addEventListener("loadedmetadata", ready);
}
document.documentElement.dataset.charts = [...document.querySelectorAll(".chart")]
  .filter(chart => chart.getBoundingClientRect().height > 0).length;
