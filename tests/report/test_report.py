import base64
import io
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from nstrep import plot, report
from nstrep.analysis.run_reader import load_sweep
from nstrep.config.metrics import METRICS, Metric
from nstrep.experiment import image_inputs
from nstrep.report import __main__ as command
from nstrep.report.content import SIDES, InputImages, content
from tests.runs import config_of, write_run, write_sweep

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
EVIL = (
    '<img src=x onerror="window.owned=1"></script><script>window.owned=1</script>'
    "${window.owned=1}{{ 7 * 191 }}'\"&"
)


def with_photo(run):
    """Give a run that was made up the hash of the photo that its configuration names."""
    path = run / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics["content"]["sha256"] = image_inputs.load_named(
        image_inputs.PictureConfig("chelsea", None, None, "chelsea"), key="content"
    ).sha256
    path.write_text(json.dumps(metrics))


@pytest.fixture(scope="module")
def eighteen(tmp_path_factory):
    """A sweep of 18, one of them failed for a reason that would act, were it not escaped."""
    folder = tmp_path_factory.mktemp("sweep") / "eighteen"
    write_sweep(
        folder, "content_weight=10,20,30", "stop_eps=0.006,0.005,0.004", "style=vangogh,lilies"
    )
    shutil.rmtree(folder / "4")
    typed = ("content_weight=10", "stop_eps=0.004", "style=vangogh")
    write_run(folder / "4", *typed, status="failed", reason=EVIL)
    with_photo(folder / "0")
    return folder


def data_of(html):
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)
    return json.loads(text)


def test_the_command_writes_one_file_and_the_table(eighteen, capsys):
    command.main([str(eighteen)])
    assert re.search(r"report\.html: 18 runs, 0\.\d MB", capsys.readouterr().out)
    html = (eighteen / "report.html").read_text()
    assert (eighteen / "summary.csv").exists()
    assert "http:" not in html
    assert "https:" not in html
    assert re.search(r"this file is \d+ kB", html)
    data = data_of(html)
    assert [run["name"] for run in data["runs"]] == [str(number) for number in range(18)]
    assert [key["key"] for key in data["swept"]] == ["content_weight", "stop_eps", "style"]
    assert data["runs"][4]["reason"] == EVIL
    with pytest.raises(SystemExit) as ended:
        command.main([str(eighteen / "none")])
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_configuration_of_each_run_can_be_had(eighteen):
    data = data_of((report.write(load_sweep(eighteen))).read_text())
    for run, typed in ((0, ["content_weight=10"]), (17, ["content_weight=30", "style=lilies"])):
        found = {**data["common"], **data["runs"][run]["config"]}
        config = config_of(*typed)
        assert float(found["content_weight"]) == config["content_weight"]
        assert found["style.title"] == config["style"]["title"]
        assert found["gpu"] == "-1"


def test_names_are_text_and_links_stay_links(tmp_path):
    write_run(tmp_path / "javascript:alert(1)", f"style_image='/x/{EVIL.replace(chr(39), '')}.png'")
    write_run(tmp_path / "<b>&", "content_weight=20")
    html = report.render(load_sweep(tmp_path), tmp_path)
    outside = re.sub(r"<(script|style)\b.*?</\1>", "", html, flags=re.S)
    assert "<b>&" not in outside
    assert 'onerror="' not in outside
    data = data_of(html)
    for run in data["runs"]:
        for href in (run["folder"], *run["files"].values()):
            assert href.startswith("./")
    assert (tmp_path / "javascript:alert(1)" / "final.png").exists()
    assert data["runs"][1]["files"]["final.png"] == "./javascript%3Aalert%281%29/final.png"


def test_a_photo_is_shown_only_if_it_is_the_one(tmp_path):
    run = write_run(tmp_path / "a")
    assert content(load_sweep(tmp_path), tmp_path)["images"] == {}  # another hash
    with_photo(run)
    shown = content(load_sweep(tmp_path), tmp_path)
    (address,) = shown["images"].values()
    with Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))) as image:
        assert image.size == (24, 16)
    config = {"content_image": str(run / "config.yaml")}
    (sweep,) = load_sweep(tmp_path).runs
    other = replace(sweep, config=config)
    assert InputImages(64).content(other) is None


def test_the_painting_is_shown_beside_the_photo(tmp_path):
    run = write_run(tmp_path / "a", "style=lilies")
    path = run / "metrics.json"
    metrics = json.loads(path.read_text())
    painting = image_inputs.load_style("lilies", "never")
    metrics["style"]["sha256"] = painting.sha256
    metrics["style2"] = {"sha256": "f" * 64}
    path.write_text(json.dumps(metrics))
    data = content(load_sweep(tmp_path), tmp_path)
    (shown,) = data["runs"][0]["paintings"]
    with Image.open(io.BytesIO(base64.b64decode(data["images"][shown].partition(",")[2]))) as image:
        assert max(image.size) == 400
        ratio = painting.rgb.shape[1] / painting.rgb.shape[0]
        assert image.size[0] / image.size[1] == pytest.approx(ratio, rel=0.02)
    assert data["runs"][0]["inputs"] == {"content": "chelsea", "style": "lilies"}


def test_the_numbers_are_those_of_the_table_of_metrics(tmp_path, monkeypatch):
    write_run(tmp_path / "a")
    before = content(load_sweep(tmp_path), tmp_path)
    names = [column["key"] for column in before["columns"]]
    terms = ["total", "content_term", "style_term"]
    assert names == ["epochs", "eps", *terms, "ssim", "seconds"]
    losses = ["total", "content_loss", "style_loss", "tv_loss"]
    assert list(before["curves"]) == [*losses, "lr", "eps", "loss_change", "gradient_norm"]
    new = Metric("mean", "mean of the image", lambda step: step.image.mean())
    monkeypatch.setitem(METRICS, "mean", new)
    after = content(load_sweep(tmp_path), tmp_path)
    assert [column["key"] for column in after["columns"]] == [*names, "mean"]
    assert list(after["curves"])[-1] == "mean"


def test_a_long_title_breaks_between_settings(tmp_path):
    write_run(tmp_path / "max_long_edge=160+max_num_epochs=9,8" / "a")
    html = report.render(load_sweep(folder := next(tmp_path.iterdir())), folder)
    assert "<h1>max_long_edge=160+<wbr>max_num_epochs=9,<wbr>8<wbr></h1>" in html


def test_pictures_and_curves_are_thinned_for_many_runs(tmp_path):
    write_sweep(tmp_path, f"seed={','.join(map(str, range(30)))}")
    write_run(tmp_path / "large", "seed=77", size=(400, 600), epochs=900)
    data = content(load_sweep(tmp_path), tmp_path)
    assert data["side"] == SIDES[2][1] == 320
    large = data["runs"][-1]
    with Image.open(io.BytesIO(base64.b64decode(large["picture"].partition(",")[2]))) as image:
        assert image.size == (320, 213)
        assert image.format == "WEBP"
    epochs = large["curve"]["epoch"]
    assert (epochs[0], epochs[-1]) == (0, 900)
    assert len(epochs) <= 12_000 // 31
    assert np.all(np.diff(epochs) > 0)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (
            "config.yaml",
            "content_weight: .nan\nstyle_weight: .inf\ncontent: [1]\nstyle: {name: {}}",
        ),
        ("metrics.json", '{"status": "finished", "width": -1, "height": 1e99, "losses": []}'),
        ("metrics.json", '{"status": "finished", "epochs": NaN, "losses": {"total": 1e999}}'),
        ("metrics.json", '{"status": "finished", "x": ' + "[" * 500 + "]" * 500 + "}"),
        ("config.yaml", f"seed: 1{'0' * 400}\nstyle: {{name: a, title: 1}}\nstyles: [[1], {{}}]"),
        ("metrics.json", f'{{"status": "finished", "epochs": 1{"0" * 400}, "eps": "x"}}'),
        ("curve.csv", "epoch,total\n0,1e999\n1,99999999999999999999999999\n2,nan\n"),
        ("final.png", "no picture"),
    ],
)
def test_damaged_runs_do_not_break_the_page(tmp_path, file, text):
    write_run(tmp_path / "good", "content_weight=20")
    (write_run(tmp_path / "bad") / file).write_text(text)
    plot.draw(load_sweep(tmp_path), ["curves", "final", "tradeoff"], tmp_path / "plots")
    html = report.render(load_sweep(tmp_path), tmp_path)
    (found,) = re.findall(r'id="data">(.*?)</script>', html, re.S)

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    assert len(json.loads(found, parse_constant=refuse)["runs"]) == 2


# In a real browser.


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync.sync_playwright() as driver:
        # Root, as in containers, cannot have Chromium's own sandbox.
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def opened(browser):
    """Open a report; whatever the console says but plain messages fails the test."""
    said, contexts = [], []

    def go(path, width=1280, height=900, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked(request.url))
        page.goto(path.absolute().as_uri())
        return page

    def asked(url):
        if not url.startswith(("file:", "data:")):
            said.append(f"asked for {url}")

    go.said = said
    yield go
    for context in contexts:
        context.close()
    assert said == []


@pytest.fixture(scope="module")
def page_of_eighteen(eighteen):
    return report.write(load_sweep(eighteen))


def visible_rows(page):
    return page.locator("#table tbody tr:visible")


def test_it_sorts(opened, page_of_eighteen):
    page = opened(page_of_eighteen)
    sort = page.locator("th[data-key=total] button")
    cells = "#table tbody tr:visible td:nth-child(8)"
    for direction, factor in (("ascending", 1), ("descending", -1)):
        sort.press("Enter")
        assert page.locator("th[data-key=total]").get_attribute("aria-sort") == direction
        texts = page.locator(cells).all_text_contents()
        assert texts[-1] == ""  # the failed run, in either order
        numbers = [factor * float(text) for text in texts[:-1]]
        assert len(numbers) == 17
        assert numbers == sorted(numbers)


def test_it_filters(opened, page_of_eighteen):
    page = opened(page_of_eighteen)
    for words, rows in (
        ("lilies", 9),
        ("content_weight>=20 lilies", 6),
        ("content_weight=10 stop_eps<0.006 finished", 3),
        ("status!=finished", 1),
        ("no such thing", 0),
        ("", 18),
    ):
        page.fill("#filter", words)
        assert visible_rows(page).count() == rows, words
        assert page.locator("#count").text_content() == f"{rows} of 18 runs"
        assert page.locator("#grid .cell").count() == rows
    page.locator("#filter-keys select").nth(2).select_option(label="vangogh")
    assert visible_rows(page).count() == 9
    page.click("#clear")
    assert visible_rows(page).count() == 18


def test_the_grid_follows_its_keys(opened, page_of_eighteen):
    page = opened(page_of_eighteen)
    assert page.locator("#grid h3").all_text_contents() == ["style=vangogh", "style=lilies"]
    page.select_option("#rows", "style")
    page.select_option("#columns", "content_weight")
    heads = page.locator("#grid .part:first-child th").all_text_contents()
    assert heads[1:] == ["10", "20", "30", "vangogh", "lilies"]
    assert page.locator("#grid h3").count() == 3
    cells = page.locator("#grid .cell img")
    assert cells.count() == 17
    assert cells.first.evaluate("image => image.naturalWidth") == 24


def test_a_run_opens_and_closes(opened, page_of_eighteen):
    page = opened(page_of_eighteen)
    page.locator("#grid .cell").nth(1).click()
    dialog = page.locator("dialog#run")
    assert dialog.is_visible()
    text = dialog.text_content()
    assert "python -m nstrep.run content_weight=10 stop_eps=0.005 style=vangogh" in text
    assert "losses.content.divide_by" in text
    href = dialog.locator("a", has_text="final.png").get_attribute("href")
    assert (page_of_eighteen.parent / href).exists()
    title = page.locator("#run-title").text_content()
    page.keyboard.press("ArrowRight")
    assert page.locator("#run-title").text_content() != title
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    row = page.locator("tr[data-run='7'] .open.link")
    row.focus()
    page.keyboard.press("Enter")
    assert page.locator("#run-title").text_content() == "7"


def test_the_table_of_a_sweep_fits_and_thumbnails_are_not_blown_up(opened, tmp_path):
    axes = ("content_weight=10,20", "max_num_epochs=5,6", "style=vangogh,lilies", "stop_eps=1,2")
    write_sweep(tmp_path, *axes)
    page = opened(report.write(load_sweep(tmp_path)), width=1400, height=900)
    assert page.evaluate(
        "(() => { const t = document.querySelector('#table .scroll');"
        " return t.scrollWidth <= t.clientWidth })()"
    )
    # 24 pixels wide: the slider has the least width, not all that there is.
    assert page.locator("#slider").bounding_box()["width"] == 320


def test_the_slider_moves(opened, page_of_eighteen):
    page = opened(page_of_eighteen)
    assert page.locator("#left").input_value() == "photo"
    assert page.locator("#before").get_attribute("alt") == "Photo of 0"
    assert page.locator("#before").evaluate("image => image.naturalWidth") == 24
    page.locator("#compare").scroll_into_view_if_needed()
    box = page.locator("#slider").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
    by_mouse = float(page.locator("#cut").input_value())
    assert by_mouse == pytest.approx(25, abs=2)
    clip = page.locator("#before").evaluate("image => getComputedStyle(image).clipPath")
    assert f"{100 - by_mouse:g}%" in clip
    page.locator("#cut").press("ArrowRight")
    assert float(page.locator("#cut").input_value()) == by_mouse + 0.5
    page.select_option("#left", "2")
    page.select_option("#right", "3")
    assert (
        page.locator("#compare-said").text_content().startswith("Left of the line: content_weight")
    )


def test_curves_zoom_and_hover(opened, page_of_eighteen):
    page = opened(page_of_eighteen)
    canvas = page.locator("#chart canvas")
    assert "17 curves" in canvas.get_attribute("aria-label")
    canvas.scroll_into_view_if_needed()
    whole = page.evaluate("chart.view()")
    assert (whole["x0"], whole["x1"]) == (0, 12)
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] * 0.75, steps=3)
    page.mouse.up()
    part = page.evaluate("chart.view()")
    assert part["x0"] == pytest.approx(6, abs=0.8)
    assert part["x1"] == pytest.approx(9, abs=0.8)
    page.mouse.dblclick(box["x"] + 90, box["y"] + 20)
    page.keyboard.press("Escape")
    canvas.press("0")
    assert page.evaluate("chart.view()") == whole
    canvas.press("+")
    assert page.evaluate("chart.view()")["x0"] > 0
    canvas.press("0")
    page.mouse.move(box["x"] + 63, box["y"] + 30)
    page.mouse.move(box["x"] + 64, box["y"] + 32)
    assert re.search(
        r"content_weight=\d+, .*: epoch 0, total loss", page.locator("#tip").text_content()
    )
    page.select_option("#measure", "eps")
    page.select_option("#colour", "style")
    assert page.locator("#legend").text_content() == "style=vangoghstyle=lilies"


def test_light_and_dark(opened, page_of_eighteen):
    background = "getComputedStyle(document.body).backgroundColor"
    page = opened(page_of_eighteen, color_scheme="dark")
    assert page.evaluate(background) == "rgb(19, 20, 23)"
    page.emulate_media(media="print")
    assert page.evaluate(background) == "rgb(255, 255, 255)"
    page.emulate_media(media="screen")
    page.click("#theme")
    assert page.locator("#theme").text_content() == "Theme: light"
    assert page.evaluate(background) == "rgb(251, 251, 250)"
    page.click("#theme")
    assert page.evaluate(background) == "rgb(19, 20, 23)"
    page.emulate_media(media="print")
    assert page.evaluate(background) == "rgb(255, 255, 255)"
    assert not page.locator("#filter").is_visible()


def test_what_would_act_is_inert(opened, tmp_path):
    name = EVIL.replace("/", "∕").replace("'", "")
    write_run(tmp_path / name[:80], f"style.name='{name}'", status="failed", reason=EVIL)
    write_run(tmp_path / "javascript:window.owned=1", "style.name='x'", reason=EVIL)
    page = opened(report.write(load_sweep(tmp_path)))
    for row in range(2):
        page.locator(f"tr[data-run='{row}'] .open.link").click()
        assert page.locator("#run-body img[src=x]").count() == 0
        page.keyboard.press("Escape")
    page.fill("#filter", EVIL)
    assert page.evaluate("window.owned") is None
    assert page.locator("img[src=x]").count() == 0
    assert name[:20] in page.locator("#table").text_content()
    # And were something to get in, the page's own policy would not run it.
    assert opened.said == []
    page.evaluate("""() => {
        const script = document.createElement("script");
        script.textContent = "window.owned = 1";
        document.body.append(script);
    }""")
    assert page.evaluate("window.owned") is None
    assert "violates" in opened.said.pop()


@pytest.mark.parametrize("count", [1, 200])
def test_few_and_many_runs_on_a_phone(opened, tmp_path, count):
    if count == 1:
        write_run(tmp_path / ("a" * 90), "content_weight=20")
    else:
        weights = ",".join(map(str, range(1, 51)))
        write_sweep(tmp_path, f"content_weight={weights}", "style=vangogh,lilies", "seed=0,1")
    page = opened(report.write(load_sweep(tmp_path)), width=390, height=844)
    assert visible_rows(page).count() == count
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    timing = "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
    assert page.evaluate(timing) < 5000
    assert page.locator("img:not([alt])").count() == 0
