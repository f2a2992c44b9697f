"""The page of a replay: well-formed, self-contained, complete, and alive in a real browser."""

import base64
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin

from liquid_nav.cli.main import main
from liquid_nav.command import Command, Mode
from liquid_nav.controller import Controller
from liquid_nav.evaluation.flight import fly
from liquid_nav.events import SECOND, CameraFrame, Event, ImuSample
from liquid_nav.onboard import Manifest, Policy
from liquid_nav.policy import save_bundle
from liquid_nav.recording.recorder import FlightRecorder
from liquid_nav.replay.report import film as film_module
from liquid_nav.replay.report.charts import COLUMNS, Curve, Shade, TimeAxis, chart
from liquid_nav.replay.report.film import FPS, LONGEST_STILL, ReplayFilm
from liquid_nav.replay.report.html import write_page
from liquid_nav.replay.report.model import Losses, ReplayReport, TopicLosses, run_report
from liquid_nav.replay.report.text import printable
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.tasks.target import TargetTask
from liquid_nav_sim.world import World
from replay import browser
from replay.replay_support import events, record, replayed, rewrite_bag, rewrite_mcap
from support import frame, small_network

SECTIONS = [
    "flight-summary",
    "commands",
    "age-of-the-newest-measurement",
    "event-timeline",
    "failsafe-log",
    "statistics",
    "lost-messages",
]
VOID = {"meta", "link", "br", "img"}
ODD = "a <b>&\"'</script> flight"
HOSTILE = (
    '"\'--></title></svg></style></script><script>hacked = 1</script><img src=x onerror="hacked=1">'
)


class Page(HTMLParser):
    """Reads a page and fails where an element is closed that is not open."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.words = ""
        self.polylines = 0
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        self.polylines += tag == "polyline"
        if "id" in values:
            self.ids.append(values["id"] or "")
        self.links += [values[key] or "" for key in ("src", "href", "data") if key in values]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.words += data

    def data(self, kind: str) -> list[bytes]:
        start = f"data:{kind};base64,"
        return [
            base64.b64decode(link[len(start) :], validate=True)
            for link in self.links
            if link.startswith(start)
        ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, flow_policy: Policy) -> Path:
    """A flight from the simulator, and the model that flew it."""
    path = tmp_path_factory.mktemp("report")
    config, network = small_network()
    save_bundle(path / "model", network, Manifest("target", config, {}, {}))
    world = World(WorldConfig(task=TargetTask(time_limit=1.5)))
    try:
        with FlightRecorder(path / "flight.mcap", flow_policy.config.camera) as recorder:

            def watch(event: Event, command: Command) -> None:
                recorder.event(event)
                recorder.command(command)

            fly(world, Controller(flow_policy), 3, watch)
    finally:
        world.close()
    return path


def report(folder: Path, out: Path, *options: str, flight: str = "flight.mcap") -> Path:
    arguments = ["replay", str(folder / flight), "--model", str(folder / "model")]
    assert main([*arguments, "--out", str(out), *options]) == 0
    assert not list(out.glob(".*"))
    return out / "report.html"


def check(page: Page) -> None:
    """Whether all that each report has is there, and nothing is loaded from elsewhere."""
    assert [name for name in page.ids if name in SECTIONS] == SECTIONS
    assert page.links
    assert all(link.startswith("data:") for link in page.links)
    pictures = page.data("image/png")
    assert pictures
    assert all(picture.startswith(b"\x89PNG\r\n\x1a\n") for picture in pictures)


def test_report_of_a_simulated_flight(folder: Path, tmp_path: Path) -> None:
    path = report(folder, tmp_path / "out", "--compare", "--delay", "camera=0.1")
    page = Page(path)
    check(page)
    (video,) = page.data("video/mp4")
    assert video[4:8] == b"ftyp"
    result = json.loads((path.parent / "replay.json").read_text())
    assert result["replay"]["failsafes"]
    for part in ("replay", "changed"):
        assert all(failsafe["reason"] in page.words for failsafe in result[part]["failsafes"])
    assert "identical, bit for bit" in page.words
    assert "what-if" in page.ids
    assert result["replay"]["commands_sha256"] in page.words
    # Per axis the recorded, the replayed and the changed command; and the age of two channels.
    assert page.polylines == 4 * 3 + 2
    assert not re.search(r"@import|url\(|https?://", path.read_text())


def test_report_without_a_camera(folder: Path, tmp_path: Path) -> None:
    page = Page(report(folder, tmp_path / "out", "--camera", "none"))
    check(page)
    assert page.data("video/mp4") == []
    assert "No video: the recording has no camera" in page.words
    assert "camera: nothing received yet" in page.words
    assert "What if" not in page.words


def test_report_of_a_damaged_recording(folder: Path, tmp_path: Path) -> None:
    whole = (folder / "flight.mcap").read_bytes()
    (folder / "cut.mcap").write_bytes(whole[: len(whole) // 2])
    page = Page(report(folder, tmp_path / "out", flight="cut.mcap"))
    check(page)
    notes = json.loads((tmp_path / "out" / "replay.json").read_text())["replay"]["damage"]
    assert notes
    assert all(note in page.words for note in notes)


def test_a_file_name_that_holds_html_is_shown_as_text(folder: Path, tmp_path: Path) -> None:
    odd = tmp_path / f"{ODD.replace('/', chr(0x2215))}\udcff\x07.mcap"
    odd.write_bytes((folder / "flight.mcap").read_bytes())
    path = report(folder, tmp_path / "out", flight=str(odd))
    page = Page(path)
    check(page)
    assert ODD.replace("/", "\u2215") in page.words
    assert "<b>" not in path.read_text(encoding="utf-8")
    assert printable("a\x00\udcff<\n\U0001f681") == "a\ufffd\ufffd<\n\U0001f681"


def db3(source: Path, folder: Path) -> Path:
    """The flight as SQLite, without its end."""
    rewrite_bag(source, folder / "bag", StoragePlugin.SQLITE3)
    file = next((folder / "bag").glob("*.db3"))
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 6 // 10])
    return folder / "bag"


def flipped(source: Path, folder: Path) -> Path:
    """The flight in many chunks, one of which is noise."""
    rewrite_mcap(source, folder / "flipped.mcap")
    content = bytearray((folder / "flipped.mcap").read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(range(200))
    (folder / "flipped.mcap").write_bytes(content)
    return folder / "flipped.mcap"


@pytest.mark.parametrize("damaged", [db3, flipped])
def test_what_a_reader_tells_of_losses_is_in_the_page(
    folder: Path, tmp_path: Path, damaged: Callable[[Path, Path], Path]
) -> None:
    flight = damaged(folder / "flight.mcap", tmp_path)
    page = Page(report(folder, tmp_path / "out", flight=str(flight)))
    check(page)
    figures = json.loads((tmp_path / "out" / "replay.json").read_text())["replay"]
    assert figures["damage"]
    assert all(note in page.words for note in figures["damage"])
    assert "hold all that was recorded" not in page.words
    assert f"{figures['lost']} messages are known to be lost" in page.words


def test_rejected_measurements_are_told_with_their_reasons(
    folder: Path, tmp_path: Path, flow_policy: Policy
) -> None:
    flight = events(0.5)
    for k, event in enumerate(flight):
        if isinstance(event, ImuSample) and k % 10 == 0:
            flight[k] = replace(event, specific_force=np.full(3, np.nan))
    record(tmp_path / "nan.mcap", flow_policy, flight)
    page = Page(report(folder, tmp_path / "out", flight=str(tmp_path / "nan.mcap")))
    channels = json.loads((tmp_path / "out" / "replay.json").read_text())["replay"]["channels"]
    count = channels["imu"]["rejections"]["not finite"]
    assert count > 5
    assert channels["imu"]["rejected"] == sum(channels["imu"]["rejections"].values())
    assert f"imu: {count} rejected: not finite" in page.words


@pytest.fixture
def hostile(flow_policy: Policy, tmp_path: Path) -> Path:
    """A page in which each text that comes from outside is script."""
    record(tmp_path / "flight.mcap", flow_policy, events(0.5))
    run = run_report(replayed(tmp_path / "flight.mcap", flow_policy))
    channels = {
        channel: replace(c, rejections={HOSTILE: 1}, refused={HOSTILE: 1}, gaps=[(0.1, 0.1)])
        for channel, c in run.channels.items()
    }
    run = replace(
        run,
        topics=dict.fromkeys(run.topics, HOSTILE),
        channels=channels,
        failsafes=tuple(replace(failsafe, reason=HOSTILE) for failsafe in run.failsafes),
        losses=Losses(0, 0, {HOSTILE: 1}, (TopicLosses(HOSTILE, 2, 1, 1),), (HOSTILE,)),
        notes=(HOSTILE,),
    )
    path = tmp_path / "report.html"
    write_page(path, ReplayReport(HOSTILE, HOSTILE, run, run), no_film=HOSTILE)
    return path


def test_text_from_outside_cannot_inject_script(hostile: Path) -> None:
    page = Page(hostile)
    check(page)
    # The data of the charts, and the script of the page.
    assert page.tags.count("script") == 2
    assert "img" not in page.tags
    # Title, heading, model, nine topics, note and video; then per channel the rejection; the
    # failsafe as a shade of four charts and in two logs; the losses.
    assert page.words.count(HOSTILE) == (3 + 9 + 1 + 1) + 2 + (4 + 2) + 2


@pytest.mark.skipif(browser.PATH is None, reason="no Chromium to open the report in")
def test_a_browser_runs_only_the_script_of_the_page(hostile: Path, tmp_path: Path) -> None:
    injected = (
        "document.body.append(Object.assign(document.createElement('script'), {text: 'x=1'}))"
    )
    look = f"{injected}; return [typeof hacked, typeof x, document.documentElement.dataset.charts];"
    with browser.Browser(tmp_path / "profile") as chromium:
        assert chromium.open(hostile.as_uri(), look) == ["undefined", "undefined", str(4 + 2 + 1)]
        (complaint,) = chromium.complaints
    assert "Content Security Policy" in complaint


def test_no_report(folder: Path, tmp_path: Path) -> None:
    arguments = ["replay", str(folder / "flight.mcap"), "--model", str(folder / "model")]
    assert main([*arguments, "--out", str(tmp_path / "out"), "--no-report"]) == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["replay.json", "replay.mcap"]


def test_charts_hold_no_more_points_than_pixels_and_lose_no_spike() -> None:
    times = np.arange(1_000_000, dtype=np.int64) * 1000 + 1_700_000_000 * SECOND
    values = np.zeros(1_000_000)
    values[333_333], values[777_777], values[5] = 1.0, 1e300, np.nan
    axis = TimeAxis(int(times[0]), int(times[-1]))
    spans = [Shade(t, t + 1, "hover", "hover") for t in times[:100_000].tolist()]
    drawn = chart("vx", axis, [Curve("a", "command", times, values)], spans, low=-1, high=2)
    (line,) = drawn.lines
    heights = [float(pair.split(",")[1]) for pair in line.points.split(" ")]
    assert len(heights) <= 2 * (COLUMNS + 1)
    # From zero, a third of the height, up to one and up to the edge.
    third = drawn.height / 3
    assert [round(h, 1) for h in sorted(set(heights))] == [0.0, third, 2 * third]
    assert len(drawn.boxes) < 1000
    empty = Curve("a", "command", times[:0], values[:0])
    assert chart("vx", TimeAxis(0, 0), [empty], low=-1, high=1).lines == ()


def test_the_film_is_bounded_and_keeps_time(
    flow_policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller, nominal = Controller(flow_policy), Command(0, 1.0, -9.0, 0.5, 0.2, Mode.NOMINAL)
    with ReplayFilm() as film:
        film.watch(events(0.1)[0], nominal, controller)
        # Silences of 1 s and of a year, and a clock that goes back.
        for stamp in (1.0, 1.05, 2.05, 3e7, 3e7 + 0.1, 5.0, 5.1):
            film.watch(frame(stamp), nominal, controller)
        content = film.finish()
    assert content is not None
    assert [round(now / SECOND, 1) for _, now in film.clock] == [1.0, 3e7, 5.0]
    assert film.clock[1][0] <= 1.2 + LONGEST_STILL / SECOND
    assert film.skipped == pytest.approx(3e7 - 5, abs=2)
    monkeypatch.setattr(film_module, "MAX_FRAMES", 7)
    tall = np.zeros((100, 10, 3), np.uint8)
    with ReplayFilm() as film:
        for k in range(100):
            now = k * SECOND // FPS
            film.watch(CameraFrame(now, now, tall), nominal, controller)
        assert film.ended == 6 * SECOND // FPS
        assert film.finish() is not None
    with ReplayFilm() as film:
        assert film.finish() is None


LOOK = """
const video = document.querySelector("video"), seen = {};
seen.charts = Number(document.documentElement.dataset.charts);
seen.empty = [...document.querySelectorAll("polyline")].filter(p => !p.getTotalLength()).length;
if (video) {
  if (!video.readyState) await new Promise(r => video.addEventListener("loadeddata", r));
  seen.duration = Number(document.documentElement.dataset.video);
  const ended = new Promise(r => video.addEventListener("ended", r));
  await video.play();
  await ended;
  seen.played = video.currentTime;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 64;
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0, 64, 64);
  seen.colours = new Set(context.getImageData(0, 0, 64, 64).data).size;
}
const place = document.querySelector("svg.chart").getBoundingClientRect();
document.querySelector("svg.chart").dispatchEvent(new MouseEvent("click",
  {clientX: place.left + place.width / 2, clientY: place.top + 50}));
if (video) await new Promise(r => video.addEventListener("seeked", r, {once: true}));
seen.place = video ? video.currentTime : 0;
seen.readout = document.querySelector(".readout").textContent;
return seen;
"""


@pytest.mark.skipif(browser.PATH is None, reason="no Chromium to open the report in")
@pytest.mark.parametrize("camera", [True, False])
def test_report_in_a_browser(folder: Path, tmp_path: Path, camera: bool) -> None:
    options = ["--compare"] if camera else ["--camera", "none"]
    path = report(folder, tmp_path / "out", *options)
    with browser.Browser(tmp_path / "profile") as chromium:
        seen = chromium.open(path.as_uri(), LOOK)
        assert chromium.complaints == []
    # Four axes, the ages of each channel, and the timeline.
    assert seen["charts"] == (4 + 2 + 1 if camera else 4 + 1 + 1)
    assert seen["empty"] == 0
    assert "replayed" in seen["readout"]
    if camera:
        assert seen["duration"] == pytest.approx(1.5, abs=0.3)
        assert seen["played"] == pytest.approx(seen["duration"], abs=0.05)
        assert seen["colours"] > 10
        assert 0.5 < seen["place"] < 0.9


NARROW = """
const sizes = [...document.querySelectorAll(".plot figcaption, .plot .x span, .plot .y span")]
  .filter(text => text.textContent.trim()).map(text => text.getBoundingClientRect().height);
const charts = [...document.querySelectorAll("svg.axis")].map(c => c.getBoundingClientRect());
return {
  wide: document.documentElement.scrollWidth,
  smallest: Math.min(...sizes),
  chart: Math.min(...charts.map(box => box.width)),
  texts: sizes.length,
};
"""

PLACE = """
scrollTo({top: document.getElementById("commands").offsetTop - 80, behavior: "instant"});
await new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)));
const box = document.querySelector("svg.chart").getBoundingClientRect();
return [box.left, box.top, box.width, box.height];
"""

SEEN = """
const charts = [...document.querySelectorAll("svg.axis")];
const shown = charts.map(chart => chart.viewBox.baseVal).map(view => [view.x, view.width]);
const labels = [...document.querySelectorAll(".plot .x")].pop().children;
return {
  shown, words: document.querySelector("#zoom output").textContent,
  labels: [...labels].map(label => Number(label.textContent)),
};
"""


@pytest.mark.skipif(browser.PATH is None, reason="no Chromium to open the report in")
def test_a_narrow_page_is_read_without_a_magnifier(folder: Path, tmp_path: Path) -> None:
    path = report(folder, tmp_path / "out", "--compare")
    with browser.Browser(tmp_path / "profile") as chromium:
        seen = chromium.open_at(400, path.as_uri(), NARROW)
    assert seen["wide"] == 400
    assert seen["smallest"] >= 12
    assert seen["chart"] > 250
    assert seen["texts"] > 30


@pytest.mark.skipif(browser.PATH is None, reason="no Chromium to open the report in")
def test_a_part_of_the_flight_is_enlarged_in_all_plots(folder: Path, tmp_path: Path) -> None:
    path = report(folder, tmp_path / "out")
    with browser.Browser(tmp_path / "profile") as chromium:
        left, top, width, height = chromium.open(path.as_uri(), PLACE)
        y = top + height / 2
        chromium.drag((left + 0.25 * width, y), (left + 0.5 * width, y))
        enlarged = chromium.run(SEEN)
        for place, span in enlarged["shown"]:
            assert (place, span) == (pytest.approx(250, abs=5), pytest.approx(250, abs=5))
        assert all(0.3 < second < 0.8 for second in enlarged["labels"])
        assert "to" in enlarged["words"]
        chromium.run("document.querySelector('#zoom [name=in]').click()")
        assert all(span == pytest.approx(125, abs=3) for _, span in chromium.run(SEEN)["shown"])
        chromium.run("document.querySelector('#zoom [name=whole]').click()")
        assert all(shown == [0, 1000] for shown in chromium.run(SEEN)["shown"])
        opened = chromium.open(f"{path.as_uri()}#t=0.5,0.75", SEEN)
        assert opened["words"] == "0.5 to 0.75 s"
        assert chromium.complaints == []
