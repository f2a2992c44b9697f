"""Style and script of the report's page, and the frame around its sections."""

from liquid_nav.replay.report.charts import LEFT, RIGHT, WIDTH, text

# Nothing may be loaded from anywhere: the policy of the page says so to the browser too.
_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; \
script-src 'unsafe-inline'; img-src data:; media-src data:">
<link rel="icon" href="data:,">
"""

_STYLE = """
:root { --ink: #1c2329; --faint: #66727d; --line: #dfe4e9; --blue: #1b52a8; --orange: #d97706;
  --violet: #8b3fd1; --red: #c62f2f; }
body { font: 14px/1.45 system-ui, sans-serif; color: var(--ink); margin: 0 auto; padding: 20px 28px;
  max-width: 1360px; background: #fff; }
h1 { font-size: 21px; margin: 0 0 2px; overflow-wrap: anywhere; }
h2 { font-size: 16px; margin: 26px 0 8px; border-bottom: 1px solid var(--line);
  padding-bottom: 3px; }
p { margin: 4px 0; } .faint { color: var(--faint); } .bad { color: var(--red); font-weight: 600; }
.top { display: flex; gap: 28px; flex-wrap: wrap; align-items: flex-start; }
.top > div { flex: 1 1 480px; min-width: 0; } .top > figure { margin: 0; flex: 0 1 480px; }
video { width: 100%; border-radius: 4px; background: #161b22; display: block; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 3px 10px; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { font-weight: 600; color: var(--faint); }
th:first-child, td:first-child, .words { text-align: left; padding-left: 0; }
.words, .pairs td { overflow-wrap: anywhere; } .pairs td { text-align: left; }
.wide { overflow-x: auto; } code { font-size: 12px; overflow-wrap: anywhere; }
.chart { display: block; width: 100%; height: auto; touch-action: none; cursor: crosshair; }
.chart text { font: 11px system-ui, sans-serif; fill: var(--faint); }
.chart .name { fill: var(--ink); font-weight: 600; } .chart .figures { font-size: 10px; }
.chart .y, .chart .readout { text-anchor: end; } .chart .x { text-anchor: middle; }
.chart .readout { fill: var(--ink); font-variant-numeric: tabular-nums; }
.chart path, .chart polyline { fill: none; stroke-width: 1; vector-effect: non-scaling-stroke; }
.chart .grid { stroke: #edf0f3; } .chart .zero { stroke: #b9c2ca; }
.chart polyline { stroke-width: 1.4; stroke-linejoin: round; }
.chart .command { stroke: var(--blue); } .chart .changed { stroke: var(--violet); }
.chart .recorded { stroke: var(--orange); stroke-width: 5; stroke-opacity: 0.6; }
.chart .cursor { stroke: var(--red); visibility: hidden; } .chart .row { fill: #f4f6f8; }
.chart .hover { fill: #ffe9b8; } .chart .land { fill: #ffcfc2; } .chart .stop { fill: #e3d4f5; }
.chart .gap { fill: var(--red); fill-opacity: 0.35; }
.key { display: inline-block; width: 14px; height: 10px; margin: 0 4px 0 12px; border-radius: 2px; }
.key.command { background: var(--blue); } .key.recorded { background: var(--orange); }
.key.changed { background: var(--violet); } .key.hover { background: #ffe9b8; }
.key.land { background: #ffcfc2; } .key.stop { background: #e3d4f5; }
.key.gap { background: #e6a3a3; }
"""

_SCRIPT = """
"use strict";
const axis = JSON.parse(document.getElementById("axis").textContent);
const page = document.documentElement.dataset;
const charts = [...document.querySelectorAll("svg.chart")];
const video = document.querySelector("video");
const clock = axis.clock;
const inner = axis.width - axis.left - axis.right;
const series = new Map();

function points(line) {
  if (!series.has(line)) {
    series.set(line, line.getAttribute("points").split(" ").map(p => p.split(",").map(Number)));
  }
  return series.get(line);
}

function valueAt(chart, line, x) {
  const all = points(line);
  let low = 0, high = all.length - 1;
  if (x < all[0][0] - 1) return null;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (all[middle][0] <= x) low = middle; else high = middle - 1;
  }
  const d = chart.dataset, bottom = Number(d.bottom), top = Number(d.top);
  const part = (bottom - all[low][1]) / (bottom - top);
  const from = Number(d.low), to = Number(d.high);
  return d.log === "1" ? from * (to / from) ** part : from + (to - from) * part;
}

function show(seconds) {
  const x = axis.left + inner * Math.min(Math.max(seconds / axis.seconds, 0), 1);
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

function flightOf(seconds) {
  let set = clock[0];
  for (const pair of clock) if (pair[0] <= seconds + 1e-6) set = pair;
  return set[1] + seconds - set[0];
}

function filmOf(seconds) {
  let best = clock[0], until = Infinity;
  clock.forEach((pair, index) => {
    if (pair[1] <= seconds) {
      best = pair;
      until = index + 1 < clock.length ? clock[index + 1][0] : Infinity;
    }
  });
  return Math.max(Math.min(best[0] + seconds - best[1], until), 0);
}

for (const chart of charts) {
  const at = event => {
    const box = chart.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * axis.width;
    return Math.min(Math.max((x - axis.left) / inner, 0), 1) * axis.seconds;
  };
  chart.addEventListener("pointermove", event => {
    if (!video || video.paused) show(at(event));
  });
  chart.addEventListener("click", event => {
    if (video) video.currentTime = filmOf(at(event));
    show(at(event));
  });
}
// report.html#t=12.5 opens at that second of the flight.
const opened = parseFloat((/^#t=(.*)$/.exec(location.hash) || [])[1]);
if (Number.isFinite(opened)) show(opened);
if (video) {
  const follow = () => {
    show(flightOf(video.currentTime));
    if (!video.paused) requestAnimationFrame(follow);
  };
  video.addEventListener("play", follow);
  video.addEventListener("seeked", () => show(flightOf(video.currentTime)));
  const ready = () => {
    page.video = video.duration.toFixed(3);
    if (Number.isFinite(opened)) video.currentTime = filmOf(opened);
  };
  if (video.readyState > 0) ready(); else video.addEventListener("loadedmetadata", ready);
}
page.charts = charts.filter(chart => chart.getBoundingClientRect().height > 0).length;
"""


def page(title: str, body: str, axis: str) -> str:
    """Put sections into a page.

    Args:
        title: of the page.
        body: the sections, HTML.
        axis: JSON for the script: ``seconds`` of the time axis, and the film's ``clock`` in pairs
            of seconds; see `geometry`.

    """
    # In a script, text ends at "</script"; in JSON, "<" may be written so.
    data = axis.replace("<", "\\u003c")
    return (
        f"{_HEAD}<title>{text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n"
        f'<script type="application/json" id="axis">{data}</script>\n'
        f"<script>{_SCRIPT}</script>\n</body>\n</html>\n"
    )


def geometry() -> dict[str, int]:
    """Where charts have their time axis, for the script."""
    return {"width": WIDTH, "left": LEFT, "right": RIGHT}
