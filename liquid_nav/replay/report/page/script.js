"use strict";
// One cursor over all charts, in step with the video.
const { width, left, right, seconds: length, clock } =
  JSON.parse(document.getElementById("axis").textContent);
const inner = width - left - right;
const charts = [...document.querySelectorAll("svg.chart")];
const video = document.querySelector("video");
const parsed = new Map();

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
  if (x < points[0][0] - 1) return null;
  let first = 0, last = points.length - 1;
  while (first < last) {
    const middle = (first + last + 1) >> 1;
    if (points[middle][0] <= x) first = middle; else last = middle - 1;
  }
  const [bottom, top, low, high] =
    ["bottom", "top", "low", "high"].map(name => Number(chart.dataset[name]));
  const part = (bottom - points[first][1]) / (bottom - top);
  return chart.dataset.log === "1" ? low * (high / low) ** part : low + (high - low) * part;
}

// Put the cursor at an instant, in seconds of flight.
function show(seconds) {
  const x = left + inner * Math.min(Math.max(seconds / length, 0), 1);
  for (const chart of charts) {
    const cursor = chart.querySelector(".cursor");
    cursor.setAttribute("transform", `translate(${x},0)`);
    cursor.style.visibility = "visible";
    const words = [`${seconds.toFixed(2)} s`];
    for (const line of chart.querySelectorAll("polyline")) {
      const value = valueAt(chart, line, x);
      if (value !== null) words.push(`${line.dataset.name} ${value.toPrecision(3)}`);
    }
    chart.querySelector(".readout").textContent = words.join("   ");
  }
}

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

for (const chart of charts) {
  const pointed = event => {
    const box = chart.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * width;
    return Math.min(Math.max((x - left) / inner, 0), 1) * length;
  };
  chart.addEventListener("pointermove", event => {
    if (!video || video.paused) show(pointed(event));
  });
  chart.addEventListener("click", event => {
    if (video) video.currentTime = videoTime(pointed(event));
    show(pointed(event));
  });
}

// report.html#t=12.5 opens at that second of the flight.
const opened = parseFloat((/^#t=(.*)$/.exec(location.hash) || [])[1]);
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
document.documentElement.dataset.charts =
  charts.filter(chart => chart.getBoundingClientRect().height > 0).length;
