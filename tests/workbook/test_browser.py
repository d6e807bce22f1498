"""JupyterLab in a real browser: notebooks run, explorers answer, an interrupted run goes on.

These tests take minutes and are left out unless asked for: ``pip install playwright`` (chromium must be installed, by
the system's package manager or by ``playwright install chromium``), then ``pytest -m browser``.
"""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest

import mtbert
from mtbert.utils import paths

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SEED = 98765  # of runs that no reader has
PATIENCE = 300  # seconds; a busy machine takes its time, and a broken page never ends
EXPLORERS = {
    path.stem: text.count("_ = explore(")
    for path in sorted((paths.ROOT / "notebooks").glob("*.ipynb"))
    if "_ = explore(" in (text := path.read_text("utf-8"))
}
EXPLORER = """
from mtbert.workbook.plots import style
from mtbert.workbook.plots.explore import explore

def draw(power, name):
    figure, axes = style.subplots(figsize=(5, 3))
    axes.plot([x**power for x in range(9)], label=name)
    return style.finish(axes, title=f"Power {power}", xlabel="x", ylabel="y")

_ = explore(draw, power=(0, 9), name=["a", "b"])
"""
SIX_FIGURES = """
import time
import matplotlib.pyplot as plt
for i in range(6):
    figure, axes = plt.subplots(figsize=(2, 1))
    axes.plot([0, i])
    time.sleep(2)
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with a copy of the notebooks."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(paths.ROOT / "notebooks", folder / "notebooks")
    return folder


@pytest.fixture(scope="module")
def address(root):
    """The address of a Lab that was started in the folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--no-browser", "--allow-root", f"--port={port}", "--IdentityProvider.token=", "--expose-app-in-browser"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "JUPYTER_CONFIG_DIR": str(root / "config")}
    with open(root / "log", "w") as log:
        lab = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options], cwd=root, stdout=log, stderr=log, env=environment
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(lambda: _answers(f"{url}/api"), "Lab does not answer")
        yield url
    finally:
        lab.terminate()
        lab.wait(PATIENCE)


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(url):
        return True
    return False


def _wait(condition, complaint: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, complaint
        time.sleep(0.2)


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        try:
            chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        except playwright.Error as error:
            pytest.skip(f"no chromium: {error}")
        yield chromium
        chromium.close()


class Notebook:
    """A notebook that is open in Lab."""

    def __init__(self, page, url: str):
        self.page = page
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(url)
        self.connect()

    def connect(self) -> None:
        """Wait until the page has loaded and the kernel is there."""
        ready = """() => {
            const panel = window.jupyterapp?.shell.currentWidget;
            return panel?.context?.isReady && panel.sessionContext.session?.kernel?.status === "idle";
        }"""
        self.page.wait_for_function(ready)

    def do(self, script: str, argument=None):
        """Evaluate JavaScript with ``panel``, ``notebook`` and ``commands`` of the open notebook."""
        names = "const commands = window.jupyterapp.commands, panel = window.jupyterapp.shell.currentWidget;"
        return self.page.evaluate(f"async argument => {{ {names} const notebook = panel.content; {script} }}", argument)

    def run_all(self) -> None:
        self.do("await commands.execute('notebook:run-all-cells');")

    def cells(self) -> list[dict]:
        return self.do("return notebook.model.toJSON().cells;")

    def find(self, text: str) -> int:
        """The number of the first code cell that holds a text."""
        return next(i for i, cell in enumerate(self.cells()) if cell["cell_type"] == "code" and text in cell["source"])

    def write(self, number: int, source: str) -> None:
        self.do("notebook.model.cells.get(argument[0]).sharedModel.setSource(argument[1]);", [number, source])

    def start(self, number: int) -> None:
        """Run a cell without waiting for it."""
        self.do(
            "notebook.activeCellIndex = argument; window.running = true;"
            "commands.execute('notebook:run-cell').finally(() => { window.running = false; });",
            number,
        )

    def busy(self) -> bool:
        """Whether the started cell still runs; the kernel's status is that of its last subshell."""
        return self.page.evaluate("() => window.running")

    def run(self, number: int) -> list[dict]:
        """Run a cell, and return its outputs."""
        self.do(
            "notebook.activeCellIndex = argument; notebook.deselectAll();await commands.execute('notebook:run-cell');",
            number,
        )
        return self.outputs(number)

    def outputs(self, number: int) -> list[dict]:
        return self.cells()[number]["outputs"]

    def explorers(self) -> list:
        """The explorers, after scrolling to each so that Lab renders it."""
        for number, cell in enumerate(self.cells()):
            if cell["cell_type"] == "code" and re.search(r"\b(explore|ask_box)\(", cell["source"]):
                self.do("await notebook.scrollToItem(argument, 'center');", number)
        self.page.wait_for_selector(".mtbert-explorer img")
        return self.page.query_selector_all(".mtbert-explorer")


def _move_all_controls(explorer) -> None:
    """Every control of an explorer redraws its figure, in the same room."""

    def image(attribute: str) -> str:
        return explorer.query_selector("img").get_attribute(attribute)

    def room() -> tuple[float, float]:
        box = explorer.query_selector("img").bounding_box()
        return box["width"], box["height"]

    explorer.scroll_into_view_if_needed()
    size = room()
    controls = explorer.query_selector_all(".noUi-handle, select:has(:nth-child(2)), input[type=text]")
    assert controls
    for control in controls:
        before, kind = image("src"), control.evaluate("node => node.tagName")
        if kind == "INPUT":
            control.click()
            control.press("End")
            control.type(" Really.")
            control.press("Enter")
        elif kind == "SELECT":
            control.select_option(index=1 - min(1, control.evaluate("node => node.selectedIndex")))
        else:
            at_the_end = control.get_attribute("aria-valuenow") == control.get_attribute("aria-valuemax")
            control.focus()
            control.press("ArrowLeft" if at_the_end else "ArrowRight")
        _wait(lambda: image("src") != before, "the figure did not follow its control")  # noqa: B023
        assert room() == pytest.approx(size, abs=1)
    assert image("alt")


@pytest.fixture
def open_notebook(address, browser):
    pages = []

    def opened(name: str) -> Notebook:
        pages.append(browser.new_page(viewport={"width": 1280, "height": 720}))
        return Notebook(pages[-1], f"{address}/lab/tree/notebooks/{name}.ipynb")

    yield opened
    for page in pages:
        page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        page.close()


def _errors(cells: list[dict]) -> list[str]:
    """Everything that Lab shows in red: errors, and what was written to stderr."""
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    errors = [output["evalue"] for output in outputs if output["output_type"] == "error"]
    return errors + [output["text"] for output in outputs if output.get("name") == "stderr" and output["text"]]


def test_the_first_notebook_runs_and_its_exercise_can_be_solved(open_notebook):
    notebook = open_notebook("00_start_here")
    notebook.run_all()
    assert not _errors(notebook.cells())
    [box] = notebook.explorers()
    _move_all_controls(box)
    exercise, check = notebook.find("def cosine(a, b)"), notebook.find("checks.start.cosine(cosine)")
    before = notebook.run(check)
    notebook.write(exercise, "def cosine(a, b):\n    return a @ b / (a.norm() * b.norm())")
    notebook.run(exercise)
    assert "Solved." in json.dumps(notebook.run(check)) and "Solved." not in json.dumps(before)


@pytest.mark.parametrize("name", EXPLORERS)
def test_the_explorers_of_a_notebook_follow_their_controls(open_notebook, name):
    notebook = open_notebook(name)
    notebook.run_all()
    assert not _errors(notebook.cells())
    assert len(notebook.explorers()) == EXPLORERS[name]
    for explorer in notebook.explorers():
        _move_all_controls(explorer)


def test_an_explorer_follows_its_controls_while_a_cell_runs_and_after_a_reload(open_notebook, root):
    cells = [nbformat.v4.new_code_cell(source) for source in (EXPLORER, SIX_FIGURES)]
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    nbformat.write(
        nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), root / "notebooks/small.ipynb"
    )
    notebook = open_notebook("small")
    notebook.run(0)
    [explorer] = notebook.explorers()
    _move_all_controls(explorer)
    pictures = explorer.evaluate(
        "node => node.closest('.jp-OutputArea').querySelectorAll('.jp-RenderedImage img')"
        ".values().map(image => image.checkVisibility()).toArray()"
    )
    assert pictures == [False]  # the picture for readers without a kernel is there, and hidden

    notebook.start(1)
    _move_all_controls(explorer)
    assert notebook.busy()
    _wait(lambda: not notebook.busy(), "the cell does not end")
    shown = lambda: [output for output in notebook.outputs(1) if "image/png" in output.get("data", {})]  # noqa: E731
    _wait(lambda: len(shown()) == 6, "figures of the running cell are missing")
    assert len(notebook.outputs(0)) == 2  # no stray figures

    notebook.do("await panel.context.save();")
    notebook.page.reload()
    notebook.connect()
    [explorer] = notebook.explorers()
    _move_all_controls(explorer)


def test_an_interrupted_training_goes_on_in_its_cell_and_ends_like_one_that_was_not_interrupted(open_notebook):
    folders = paths.RUNS / "05_multitask"
    notebook = open_notebook("05_multitask")
    parameters = notebook.find("profile: str")
    source = notebook.cells()[parameters]["source"].replace("epochs: int = 0", "epochs: int = 1")
    notebook.write(parameters, source.replace("seed: int = 0", f"seed: int = {SEED}"))
    setup, settings = notebook.find("import mtbert"), notebook.find("= settings(")
    main = notebook.find("mtbert.train(main,")
    try:
        for number in (parameters, setup, settings):
            assert not _errors([{"outputs": notebook.run(number)}])
        notebook.start(main)
        _wait(lambda: list(folders.glob(f"*{SEED}/main/.lock")), "the training does not begin")
        time.sleep(5)  # some of its 40 steps
        notebook.do("await panel.sessionContext.session.kernel.interrupt();")
        _wait(lambda: not notebook.busy(), "the training does not stop")
        [error] = [output for output in notebook.outputs(main) if output["output_type"] == "error"]
        [line] = error["traceback"]
        step, steps = map(int, re.search(r"stopped after step (\d+) of (\d+)", line).groups())
        assert 0 < step < steps, line
        assert not _errors([{"outputs": notebook.run(main)}])
        resumed = _result(folders)

        for number in (setup, settings, main):  # from the beginning: the settings remove the finished run
            assert not _errors([{"outputs": notebook.run(number)}])
        assert _result(folders) == resumed
    finally:
        for folder in folders.glob(f"*{SEED}"):
            shutil.rmtree(folder, ignore_errors=True)


def _result(folders) -> tuple:
    """Losses, scores and weights of the run that was trained with the seed of the tests."""
    [path] = folders.glob(f"*{SEED}/main/run.json")
    run = json.loads(path.read_text("utf-8"))
    assert run["status"] == "finished"
    return [(epoch["step"], epoch["losses"], epoch["scores"]) for epoch in run["epochs"]], run["weights_sha256"]


@pytest.fixture
def own_run():
    """A finished run of a few steps among those that the playground offers."""
    folder = paths.RUNS / f"browser-{SEED}"
    recipe = mtbert.recipe("tiny").replace(epochs=1, steps_per_epoch=1)
    try:
        mtbert.train(recipe, folder, paths.SAMPLE, progress=False)
        yield paths.display_path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _type(explorer, texts: list[str]) -> None:
    """Replace the texts in an explorer's boxes."""
    for box, text in zip(explorer.query_selector_all("input[type=text]"), texts, strict=True):
        box.fill(text)
        box.press("Enter")


def _wait_for_words(explorer, *words: str) -> None:
    """Wait until the picture's description, or the message above it, holds all words."""
    shown = lambda: explorer.query_selector("img").get_attribute("alt") + explorer.inner_text()  # noqa: E731
    _wait(lambda: all(word in shown() for word in words), f"{words} not among: {shown()}")


def test_the_playground_answers_as_the_model_does(open_notebook, own_run):
    notebook = open_notebook("playground")
    notebook.run_all()
    assert not _errors(notebook.cells())
    sentence, pair, tokens, attention, neighbors = notebook.explorers()

    texts = ["A dull, lifeless film.", "Not one false note: a masterpiece!", "🎬", "word " * 400]
    for text in texts:
        _type(sentence, [text])
        labels = [f"{answer.task.title}: {answer.label}" for answer in mtbert.ask(text).values()]
        _wait_for_words(sentence, text[:20].strip().replace("🎬", "□"), *labels)
    _type(sentence, [" "])
    _wait_for_words(sentence, "text 1 is empty")
    _type(sentence, ["Fine."])
    _wait_for_words(sentence, "Fine.")
    assert "empty" not in sentence.inner_text()

    alone = sentence.query_selector("img").get_attribute("src")
    sentence.query_selector("select").select_option(label=own_run)
    _wait(lambda: sentence.query_selector("img").get_attribute("src") != alone, "the own run does not answer")

    questions = ["Why do cats purr?", "What makes a cat purr?"]
    _type(pair, questions)
    answers = mtbert.ask(*questions)
    _wait_for_words(pair, *questions, *(answer.label for answer in answers.values()))

    _type(tokens, ["Unbelievable!"])
    _wait_for_words(tokens, "unbelievable", "4 tokens")
    layer, head = attention.query_selector_all(".noUi-handle")
    for slider, times in ((layer, 5), (head, 3)):
        slider.focus()
        for _ in range(times):
            slider.press("ArrowRight")
    _wait_for_words(attention, "Layer 5, head 5")
    before = neighbors.query_selector("img").get_attribute("src")
    _type(neighbors, ["Someone makes music."])
    _wait(lambda: neighbors.query_selector("img").get_attribute("src") != before, "no other neighbors")

    room = notebook.page.query_selector(".jp-NotebookPanel .jp-WindowedPanel-outer").bounding_box()
    for explorer in notebook.explorers():
        for part in explorer.query_selector_all("img, input, select, .widget-slider"):
            box = part.bounding_box()
            assert box is None or box["x"] + box["width"] <= room["x"] + room["width"], "wider than the page"


@pytest.mark.parametrize("original", sorted((paths.ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_saving_an_unchanged_notebook_leaves_its_file_as_it_is(open_notebook, root, original):
    copy = shutil.copy(original, root / "notebooks" / f"copy_of_{original.name}")
    notebook = open_notebook(copy.stem)
    notebook.do("notebook.model.dirty = true; await panel.context.save();")
    assert copy.read_text("utf-8") == original.read_text("utf-8")
