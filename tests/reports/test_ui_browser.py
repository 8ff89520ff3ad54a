"""MLflow's own UI, driven in a real browser: what a user clicks must open without an error.

Needs ``pip install playwright`` and a browser, such as Debian's: ``apt-get install chromium``. Both are used where
they are installed; nothing is downloaded.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tgsr.datasets import DatabasePair, FeatureDataset
from tgsr.tracking.records import StudyRecord
from tgsr.tracking.views import VIEWS, View

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_NOT_OURS = (
    "mlflow/users/current",
    "ResizeObserver loop completed with undelivered notifications",
    "attribute transform: Expected number",
    "attribute d: Expected number",
)
"""What MLflow's UI logs by itself: it asks for the signed-in user also where there is no sign-in (404), and on a busy
machine the browser puts the resizing of its charts off to the next frame, and says so, or a chart is drawn before it
has a size (``translate(NaN``, ``M0.5,NaNV1.5``)."""
_DISMISSED = {
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
    "mlflow.assistant.panelOpen_v1": "false",
    "mlflow.detectIssues.guidanceShown_v1": "true",
}
"""What the UI remembers of a user who has closed its panels for newcomers."""


@dataclass(frozen=True)
class Ui:
    address: str
    record: StudyRecord


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="the UI was not driven: playwright is not installed (pip install playwright)"
    )
    program = os.environ.get("TGSR_BROWSER") or next(
        (found for name in _BROWSERS if (found := shutil.which(name))), None
    )
    if program is None:
        pytest.skip("the UI was not driven: no browser is installed (apt-get install chromium, or set TGSR_BROWSER)")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


def _noisy(data: FeatureDataset, seed: int) -> FeatureDataset:
    """The same samples, hard to tell apart: so that trials differ in their scores."""
    noise = np.random.default_rng(seed).gamma(0.1, size=(len(data), 85, 3, 59))
    noise /= noise.sum(axis=-1, keepdims=True)
    return replace(data, features=0.1 * data.features + 0.9 * noise.reshape(data.features.shape))


@pytest.fixture(scope="module")
def ui(browser: Any, pair_factory: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    from tgsr.reports import report_studies
    from tgsr.study.options import RunOptions
    from tgsr.study.running import run_study
    from tgsr.tracking.config import resolve_config
    from tgsr.trials.spec import make_spec

    home = tmp_path_factory.mktemp("home")
    easy = pair_factory(71, 71)
    pair = DatabasePair(_noisy(easy.source, 0), _noisy(easy.target, 1))
    axes = {"kappa": [2, 5, *range(10, 81, 10)], "xi": [0.01, 0.1, 0.5, 1.0, 5.0, 10.0, 100.0]}
    spec = make_spec(pair, axes=axes)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        config = resolve_config(home)
        record = run_study(spec, pair, RunOptions(config, "generated", jobs=1, progress=False, page=False)).record
        report_studies(config, home / "report")
    with _server(home, config.tracking_uri) as address:
        yield Ui(address, record)


class _server:
    """``mlflow ui`` on a free port of the loopback interface, with all its processes in one group."""

    def __init__(self, home: Path, tracking_uri: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "mlflow", "ui", "--workers", "1", "--host", "127.0.0.1", "--port", str(port)]
        environment = {
            **os.environ,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "PYTHONWARNINGS": "ignore",
        }
        self._log = (home / "ui.log").open("wb")
        self._process = subprocess.Popen(
            [*command, "--backend-store-uri", tracking_uri],
            cwd=home,
            env=environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def __enter__(self) -> str:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.address}/health", timeout=5):
                    return self.address
            except OSError:
                time.sleep(0.3)
        self.__exit__()
        pytest.fail("mlflow ui did not start: " + Path(self._log.name).read_text()[-2000:])

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(20)
        self._log.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page that fails the test if anything was written to the console as an error, or could not be loaded."""
    context = browser.new_context(viewport={"width": 1500, "height": 900})
    remember = f"for (const [key, value] of Object.entries({json.dumps(_DISMISSED)})) localStorage.setItem(key, value)"
    context.add_init_script(f"if (window === window.top) {{ {remember} }}")  # frames of artifacts have no storage
    opened = context.new_page()
    opened.set_default_timeout(60_000)
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda said: errors.append(f"{said.text} {said.location}") if said.type == "error" else None)
    yield opened
    context.close()
    assert [error for error in errors if not any(known in error for known in _NOT_OURS)] == []


def _picture(page: Any, name: str) -> None:
    """Keep a screenshot where TGSR_SCREENSHOTS says; the README's were made so."""
    folder = os.environ.get("TGSR_SCREENSHOTS")
    if folder:
        page.wait_for_timeout(1500)
        path = Path(folder) / f"{name}.png"
        page.screenshot(path=str(path))
        Image.open(path).quantize(256).save(path, optimize=True)  # a third of the size, and no difference to see


_STUDIES, _CIRCULAR, _ORACLE = VIEWS


def view_path(ui: Ui, view: View) -> str:
    path = f"/#/experiments/{ui.record.experiment_id}/runs?workflowType=machine_learning&viewStateShareKey={view.key}"
    return ui.address + path


def test_the_studies_have_a_view_of_their_own(ui: Ui, page: Any) -> None:
    page.goto(view_path(ui, _STUDIES))
    page.get_by_role("button", name=_STUDIES.name).wait_for()
    page.get_by_text("V-N TGSR grid region").first.wait_for()
    for choice in ("oracle", "consensus", "circular", "median"):
        column = page.locator(f'.ag-row [col-id*="macro_f1.{choice}"]')
        column.first.wait_for()
        assert column.first.inner_text() != "-"
    _picture(page, "ui-studies")


@pytest.mark.parametrize(
    ("view", "by", "column"), [(_ORACLE, "oracle", "metrics.`macro_f1`"), (_CIRCULAR, "circular", "rules.circular")]
)
def test_a_view_sorts_trials_by_what_it_is_named_after(view: View, by: str, column: str, ui: Ui, page: Any) -> None:
    page.goto(view_path(ui, view))
    page.get_by_role("button", name=view.name).wait_for()
    cells = page.locator(f".ag-row [col-id*='{column}']")
    cells.first.wait_for()
    shown = [float(cell.inner_text()) for cell in cells.all()]
    assert len(shown) >= 10
    assert shown == sorted(shown, reverse=True)
    assert shown[0] > shown[-1]
    assert shown[0] == pytest.approx(ui.record.choose(by).value, abs=1e-3)
    if view is _CIRCULAR:
        _picture(page, "ui-table")


def test_the_charts_of_the_view_draw_kappa_and_xi(ui: Ui, page: Any) -> None:
    page.goto(view_path(ui, _CIRCULAR) + "&compareRunsMode=CHART")
    page.locator(".contourlayer .contour").first.wait_for()
    assert page.locator(".js-plotly-plot").count() >= 2
    _picture(page, "ui-charts")


def test_the_recipe_for_the_contour_works(ui: Ui, page: Any) -> None:
    """A filter that spreads the trials over κ and ξ, all of them ticked, compared, drawn over κ and log ξ."""
    page.goto(view_path(ui, _ORACLE))
    search = page.locator('input[placeholder*="metrics.rmse"]')
    search.fill("tags.tgsr.kind = 'trial' and params.kappa LIKE '%0' and params.log10_xi LIKE '_'")
    search.press("Enter")
    page.wait_for_function("document.body.innerText.includes('24 matching runs')")
    page.locator('.ag-header input[type="checkbox"]:visible').first.check()
    page.get_by_role("button", name="Compare").click()
    page.get_by_text("Comparing 24 Runs").wait_for()
    page.locator(".js-plotly-plot .parcoords").first.wait_for()
    page.get_by_text("Contour Plot").click()
    for selector, choice in (("xaxis", "kappa"), ("yaxis", "log10_xi"), ("zaxis", "macro_f1")):
        box = page.locator(f"#{selector}-selector")
        if box.inner_text().strip() != choice:
            box.click()
            page.get_by_role("option", name=choice, exact=True).click()
    page.locator(".contourlayer .contour").first.wait_for()
    _picture(page, "ui-contour")


def test_the_report_opens_inside_mlflow_and_its_surface_is_interactive(ui: Ui, page: Any) -> None:
    page.goto(f"{ui.address}/#/experiments/{ui.record.experiment_id}/runs/{ui.record.run_id}/artifacts/report.html")
    frame = page.frame_locator("iframe")
    frame.get_by_role("heading", name="Study V-N TGSR grid region").wait_for()
    frame.get_by_role("heading", name="What each rule chooses").wait_for()
    _picture(page, "ui-report")
    frame.get_by_role("button", name="Interactive").click()
    frame.locator('.explorer[data-state="drawn"] .heatmaplayer image').wait_for()


def test_a_trials_mask_opens(ui: Ui, page: Any) -> None:
    trial = ui.record.choose("circular").row["run_id"]
    page.goto(f"{ui.address}/#/experiments/{ui.record.experiment_id}/runs/{trial}/artifacts/regions.png")
    page.wait_for_function("[...document.images].some((image) => image.naturalWidth > 400)")
    _picture(page, "ui-mask")


def test_the_page_opens_from_the_file_system(ui: Ui, page: Any, tmp_path: Path) -> None:
    with urllib.request.urlopen(f"{ui.address}/get-artifact?path=report.html&run_uuid={ui.record.run_id}") as answer:
        (tmp_path / "report.html").write_bytes(answer.read())
    page.goto((tmp_path / "report.html").as_uri())
    page.get_by_role("button", name="Interactive").click()
    page.locator('.explorer[data-state="drawn"]').wait_for()
    page.locator(".updatemenu-button", has_text="accuracy").click()
    page.set_viewport_size({"width": 360, "height": 740})
    page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")
    _picture(page, "page-phone")
    page.emulate_media(media="print")
    assert not page.locator(".explorer").first.is_visible()
