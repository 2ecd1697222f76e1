"""``report.html``: what it draws is what was logged, it is one inert file, and every end of a run leaves one."""

import base64
import json
import math
from html.parser import HTMLParser
from xml.etree import ElementTree

import jax
import numpy as np
import pytest

from artifex.core.errors import NonFiniteLossError, RunError
from artifex.training import Callback, build_run
from artifex.training.report import write_report
from artifex.training.report.history import Series, read_history, thinned
from artifex.training.report.page import _panels
from artifex.training.report.plot import line_plot

SVG, XHTML = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xhtml}"
HOSTILE = "<script>alert(1)</script>\" onload='alert(2)' & \x00 ]]>"


def series(values, steps=None):
    return Series(np.arange(len(values)) if steps is None else np.array(steps), np.array(values, float))


def axis(svg, name, coordinate, scale):
    """From a coordinate in the picture to a value, read off the tick labels alone."""
    texts = [text for text in svg.iter(f"{SVG}text") if text.get("class") == name]
    places = np.array([float(text.get(coordinate)) for text in texts])
    values = np.array([scale(float(text.text)) for text in texts])
    assert len(set(values)) == len(values) >= 2
    slope, start = np.polyfit(places, values, 1)
    np.testing.assert_allclose(start + slope * places, values, atol=0.002 * np.ptp(values))  # the file has two decimals
    return lambda place: start + slope * place


def drawn(text, scale=float):
    """The points of each polyline of a plot in units of its axes."""
    svg = ElementTree.fromstring(text)
    x, y = axis(svg, "x", "x", float), axis(svg, "y", "y", scale)
    lines = [line.get("points").split() for line in svg.iter(f"{SVG}polyline")]
    points = [[tuple(map(float, pair.split(","))) for pair in line] for line in lines]
    return [np.array([(x(a), y(b)) for a, b in line]) for line in points]


def test_the_lines_are_the_values_by_the_ticks():
    rng = np.random.default_rng(0)
    for low, high in [(0.1, 1), (-3e-7, 2e-7), (1e6, 1e6 + 5), (-2.5e9, 4e9)]:
        steps, values = np.arange(0, 700, 50), rng.uniform(low, high, 14)
        (line,) = drawn(line_plot("loss", {"training": series(values, steps)}))
        np.testing.assert_allclose(line[:, 0], steps, atol=1)
        np.testing.assert_allclose(line[:, 1], values, atol=0.005 * (high - low))


def test_values_over_decades_have_a_logarithmic_axis():
    values = 10 ** np.linspace(-6, 2, 30)
    (line,) = drawn(line_plot("loss", {"training": series(values)}), math.log10)
    np.testing.assert_allclose(line[:, 1], np.log10(values), atol=0.03)
    cosine = 100 * (1 + np.cos(np.linspace(0, 0.999 * math.pi, 30))) / 2
    assert cosine.max() / cosine.min() > 1e5  # and yet easy to read on a linear axis
    np.testing.assert_allclose(drawn(line_plot("rate", {"training": series(cosine)}))[0][:, 1], cosine, atol=0.5)
    for plain in ([-1, *values], [0, *values]):  # which has no logarithm
        assert np.ptp(drawn(line_plot("loss", {"training": series(plain)}))[0][:, 1]) == pytest.approx(100, rel=0.02)


@pytest.mark.parametrize("values", [[3.0, 3.0, 3.0], [0.0, 0.0], [-1e-30, -1e-30]])
def test_a_constant_is_a_level_line(values):
    (line,) = drawn(line_plot("loss", {"training": series(values)}))
    np.testing.assert_allclose(line[:, 1], values, atol=0.002 * max(1, abs(values[0])))


def test_several_lines_are_told_apart_and_named():
    svg = ElementTree.fromstring(line_plot("loss", {"training": series([1, 2]), "held-out data": series([2, 3])}))
    texts = [text.text for text in svg.iter(f"{SVG}text")]
    assert {"loss", "training", "held-out data", "step"} <= set(texts)
    looks = [[line.get(name) for name in ("stroke", "stroke-dasharray")] for line in svg.iter(f"{SVG}polyline")]
    keys = [[line.get(name) for name in ("stroke", "stroke-dasharray")] for line in svg.iter(f"{SVG}line") if line.get("class")]
    assert keys == looks
    assert looks[0][0] != looks[1][0]
    assert looks[0][1] != looks[1][1]
    assert svg.find(f"{SVG}title").text == "loss: training, held-out data by step"


def test_what_is_no_number_is_a_gap_and_is_counted():
    text = line_plot("loss", {"training": series([1, 2, math.nan, 4, math.nan, math.inf, 5, 6])})
    svg = ElementTree.fromstring(text)
    assert [len(line) for line in drawn(text)] == [2, 2]
    assert len(list(svg.iter(f"{SVG}circle"))) == 1
    assert "3 not finite" in [t.text for t in svg.iter(f"{SVG}text")]
    assert drawn_nothing(line_plot("loss", {"training": series([math.nan])}))


def drawn_nothing(text):
    return not list(ElementTree.fromstring(text).iter(f"{SVG}polyline"))


def test_a_long_line_is_thinned_and_keeps_its_peaks_and_gaps():
    values = np.sin(np.arange(100_000) / 5000)
    values[41_234], values[77_777], values[50_000] = 50.0, -50.0, math.nan
    kept = thinned(series(values))
    assert len(kept) <= 1200
    assert {0, 41_234, 50_000, 77_777, 99_999} <= set(kept.steps.tolist())
    np.testing.assert_array_equal(kept.values, values[kept.steps])
    short = series(values[:1000])
    assert thinned(short) is short


def test_history_survives_a_line_that_was_cut_short(tmp_path):
    lines = ['{"step": 1, "loss": 2.0}', '{"step": 2, "loss": null, "eval/loss": 3}', "[4]", '{"loss": 1}', '{"step": 3, "lo']
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    history = read_history(tmp_path / "metrics.jsonl")
    assert history.keys() == {"loss", "eval/loss"}
    np.testing.assert_array_equal(history["loss"].values, [2, math.nan])
    np.testing.assert_array_equal(history["eval/loss"].steps, [2])
    assert read_history(tmp_path / "none.jsonl") == {}


@pytest.fixture
def folder(tmp_path):
    """A run's folder, as far as a report needs it, with names that would do harm."""
    config = {"name": HOSTILE, "description": HOSTILE, "seed": 3, "model": {"kind": HOSTILE}, "training": {"batch_size": 8}}
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    metrics = [{"step": i, HOSTILE: 1.0 + i, f"eval/{HOSTILE}": 2.0, "learning_rate": 0.1} for i in range(5)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in metrics))
    part = {"from_step": 0, "started": "then", "to_step": None, "ended": None, "end": None}
    parameters = [{"name": HOSTILE, "shape": [3, 4], "dtype": "float32", "size": 12}]
    summary = {"notes": [HOSTILE], "parts": [part], "parameters": parameters, "total_steps": 5, "devices": HOSTILE}
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    (tmp_path / "environment.json").write_text(json.dumps({HOSTILE: HOSTILE, "versions": {HOSTILE: HOSTILE}}))
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "step_0000004.txt").write_text(HOSTILE)
    (tmp_path / "samples" / "seed_3.txt").write_text("drawn by hand")
    return tmp_path


class Elements(HTMLParser):
    """What a browser would see: elements and their attributes."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes = set(), []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs


def test_the_page_is_well_formed_and_nothing_in_it_acts_or_is_fetched(folder):
    text = write_report(folder).read_text(encoding="utf-8")
    page, seen = ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>")), Elements(text)
    shown = HOSTILE.replace("\x00", "\ufffd")
    assert page.find(f".//{XHTML}h1").text == shown
    assert shown in [cell.text for cell in page.iter(f"{XHTML}td")]
    assert shown in [t.text for t in page.iter(f"{SVG}text")]
    assert seen.tags.isdisjoint({"script", "link", "iframe", "object", "embed", "a", "base", "form"})
    assert not [name for name, _ in seen.attributes if name.startswith("on") or name in ("href", "xlink:href", "style")]
    assert all(value.startswith("data:") for name, value in seen.attributes if name == "src")
    assert [value for _, value in seen.attributes if value and "default-src 'none'" in value]
    assert "url(" not in text
    assert "@import" not in text


def cells(page):
    return [[cell.text or "" for cell in row] for row in page.iter(f"{XHTML}tr")]


def read(folder):
    return ElementTree.fromstring((folder / "report.html").read_text(encoding="utf-8").removeprefix("<!DOCTYPE html>"))


def test_what_the_page_says(folder):
    write_report(folder)
    rows = cells(read(folder))
    assert ["seed", "3"] in rows
    assert ["batch size", "8"] in rows
    assert ["then", "0", "", "", "killed, or still running"] in rows
    assert ["learning_rate", "0.1", "0.1", "0", "0.1", "0"] in rows
    assert [HOSTILE.replace("\x00", "\ufffd"), "5", "1", "0", "5", "4"] in rows
    assert ["total", "1 arrays", "", "12"] in rows
    figures = [[part.text for part in figure] for figure in read(folder).iter(f"{XHTML}figure")]
    assert figures == [[HOSTILE.replace("\x00", "\ufffd"), "step 4"]]  # what was drawn by hand is not of the training
    (folder / "metrics.jsonl").unlink()
    write_report(folder)
    assert "Nothing was logged." in [p.text for p in read(folder).iter(f"{XHTML}p")]


def test_samples_are_in_the_file_some_of_many_and_large_ones_named(folder):
    made = {step: bytes([step]) * 100 for step in range(30)}
    for step, data in made.items():
        (folder / "samples" / f"step_{step:07d}.png").write_bytes(data)
    (folder / "samples" / "step_0000004.txt").unlink()
    (folder / "samples" / "step_0000029.png").write_bytes(bytes(5 * 2**20))
    write_report(folder)
    images = [image.get("src") for image in read(folder).iter(f"{XHTML}img")]
    shown = [base64.b64decode(image.removeprefix("data:image/png;base64,")) for image in images]
    assert len(shown) == 11
    assert shown[0] == made[0]
    assert all(data in made.values() for data in shown)
    texts = [p.text for p in read(folder).iter(f"{XHTML}p")]
    assert "12 of 30 are shown." in texts
    assert "step_0000029.png, 5,242,880 bytes" in texts


def test_figures_of_one_kind_share_a_plot_at_the_end():
    one = series([1.0, 2.0])
    names = ["critic/loss", "critic/grad_norm", "maker/grad_norm", "maker/learning_rate", "steps_per_second"]
    panels = _panels(dict.fromkeys([*names, "examples_per_second", "maker/loss", "fid"], one))
    assert {title: list(lines) for title, lines in panels.items()} == {
        "critic/loss": ["training"],
        "maker/loss": ["training"],
        "fid": ["training"],
        "gradient norm": ["critic/grad_norm", "maker/grad_norm"],
        "learning rate": ["maker/learning_rate"],
        "steps per second": ["steps_per_second"],
    }
    assert list(panels)[-3:] == ["gradient norm", "learning rate", "steps per second"]


def test_a_long_run_makes_no_large_file(folder):
    rng = np.random.default_rng(0)
    names = ("loss", "kl", "reconstruction_loss", "learning_rate", "steps_per_second")
    with (folder / "metrics.jsonl").open("w") as file:
        for step in range(100_000):
            file.write(json.dumps({"step": step, **dict(zip(names, rng.normal(size=5).tolist(), strict=True))}) + "\n")
    assert write_report(folder).stat().st_size < 200_000


def test_there_is_no_report_of_what_is_no_run(tmp_path):
    with pytest.raises(RunError, match="is no run folder"):
        write_report(tmp_path)


def interrupt_at(step):
    class Interrupt(Callback):
        def on_step(self, trainer):
            if trainer.step == step:
                raise KeyboardInterrupt

    return Interrupt()


def start(config, folder, *more, resume=False):
    run = build_run(config)
    run.trainer.callbacks = (*run.trainer.callbacks, *more)
    folder.mkdir(exist_ok=True)
    run.start(folder, resume=resume)
    return run


def parts(folder):
    summary = json.loads((folder / "summary.json").read_text())
    return [(part["from_step"], part["to_step"], part["end"]) for part in summary["parts"]]


def test_a_run_that_was_interrupted_and_resumed_has_one_history(tiny, tmp_path):
    folder, config = tmp_path / "run", tiny.config(description="A line.")
    with pytest.raises(KeyboardInterrupt):
        start(config, folder, interrupt_at(7))
    assert parts(folder) == [(0, 7, "interrupted")]
    assert "interrupted" in (folder / "report.html").read_text()
    start(config, folder, resume=True)
    assert parts(folder) == [(0, 7, "interrupted"), (7, 15, "finished")]
    page = read(folder)
    (loss,) = [svg for svg in page.iter(f"{SVG}svg") if svg.find(f"{SVG}title").text.startswith("loss")]
    training, held_out = drawn(ElementTree.tostring(loss))
    history = read_history(folder / "metrics.jsonl")
    np.testing.assert_allclose(training[:, 0], history["loss"].steps, atol=0.03)
    np.testing.assert_allclose(held_out[:, 0], [3, 6, 9, 12, 15], atol=0.03)
    np.testing.assert_allclose(training[:, 1], history["loss"].values, atol=0.01 * np.ptp(history["loss"].values))
    rows = cells(page)
    assert ["up.kernel", "2 × 3", "float32", "6"] in rows
    assert ["total", "4 arrays", "", "17"] in rows
    assert ["model", "tiny"] in rows
    assert "A line." in [p.text for p in page.iter(f"{XHTML}p")]
    assert (folder / "config.yaml").read_text() in [pre.text for pre in page.iter(f"{XHTML}pre")]
    assert len(list(page.iter(f"{XHTML}figure"))) == 3


def test_what_a_run_notes_of_its_devices_is_in_its_report(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    run = start(tiny.config(training__batch_size=12), tmp_path / "run")
    assert run.notes[0].startswith("6 of 8 devices")
    assert run.notes[0] in [p.text for p in read(tmp_path / "run").iter(f"{XHTML}p")]


def test_a_run_that_failed_says_why(tiny, tmp_path):
    with pytest.raises(NonFiniteLossError):
        start(tiny.config(data__dataset__bad_value=True), tmp_path / "run")
    assert "NonFiniteLossError: the loss is not finite" in (tmp_path / "run" / "report.html").read_text()


def test_a_report_that_cannot_be_written_costs_no_run(tiny, tmp_path, monkeypatch, capsys):
    def refuse(folder):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("artifex.training.report.summary.write_report", refuse)
    start(tiny.config(), tmp_path / "run")
    assert (tmp_path / "run" / "model" / "config.yaml").exists()
    assert "No space left on device; once it can: artifex report" in capsys.readouterr().err


def test_the_command_makes_it_anew(artifex, folder):
    done = artifex("report", folder)
    assert done.out.strip() == str(folder / "report.html")
    assert "killed, or still running" in (folder / "report.html").read_text()
    assert artifex("report", folder / "samples").code == 2
