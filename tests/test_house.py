"""The house: rooms, which way imports run, the size of modules, and what importing the package costs."""

import ast
import importlib
import itertools
import json
import os
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import mtbert
from mtbert.utils import paths

PACKAGE = Path(mtbert.__file__).parent
FLOORS = ["utils", "data", "nn optim", "training", "experiments", "bench workbook", "cli"]  # from the bottom
RANK = {room: rank for rank, rooms in enumerate(FLOORS) for room in rooms.split()}
TOP_LEVEL = "notebooks mtbert data figures tests requirements.txt constraints.txt README.md pyproject.toml LICENSE"
HEAVY = ["torch._dynamo", "pandas", "matplotlib", "transformers", "triton", "ray"]
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
STUBS = [".".join(path.parent.relative_to(PACKAGE.parent).parts) for path in sorted(PACKAGE.rglob("__init__.pyi"))]


@cache
def syntax(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def stub(package: str) -> dict[str, str]:
    """The public names of a package, and the module that each comes from."""
    tree = syntax(PACKAGE.parent.joinpath(*package.split("."), "__init__.pyi"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: ".".join(filter(None, [package, node.module])) for node in imports for alias in node.names}


def defining_module(package: str, name: str) -> str:
    """The module that ``from package import name`` reads, with the lazy packages followed to the module itself."""
    module = f"{package}.{name}"
    if module in MODULES:
        return module
    origin = stub(package).get(name) if package in STUBS else None
    return defining_module(origin, name) if origin else package


@cache
def imports(module: str) -> frozenset[str]:
    """The package's modules that a module imports, at its top or inside a function; except for types only."""
    names = set()

    def visit(node: ast.AST):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            package = node.module or ""
            if node.level:
                base = module.split(".") if MODULES[module].name == "__init__.py" else module.split(".")[:-1]
                package = ".".join(base[: len(base) + 1 - node.level] + ([node.module] if node.module else []))
            if package in MODULES:
                names.update(defining_module(package, alias.name) for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(syntax(MODULES[module]))
    return frozenset(names - {module, "mtbert"})


def room(module: str) -> str:
    return module.split(".")[1]


IN_ROOMS = [module for module in MODULES if module.count(".") and room(module) in RANK]


def in_a_process(code: str) -> dict:
    """What a fresh interpreter prints as JSON."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_the_package_holds_its_rooms_and_nothing_else():
    names = {path.name for path in PACKAGE.iterdir()} - {"__pycache__"}
    assert names == {*RANK, "__init__.py", "__init__.pyi", "__main__.py", "py.typed"}


def test_the_tests_have_the_same_rooms():
    assert {path.parent.name for path in paths.ROOT.glob("tests/*/test_*.py")} == set(RANK)


def test_the_top_level_holds_only_what_it_may():
    command = ["git", "-C", str(paths.ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git repository")
    names = {line.split("/")[0] for line in done.stdout.splitlines()}
    assert {name for name in names if not name.startswith(".")} <= set(TOP_LEVEL.split())


def requirements(path: str) -> dict[str, Requirement]:
    """The requirements of a file by name, without comments and options."""
    lines = [line.split("#")[0].strip() for line in (paths.ROOT / path).read_text(encoding="utf-8").splitlines()]
    found = [Requirement(line) for line in lines if line and not line.startswith("-")]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


@pytest.mark.parametrize("path", ["requirements.txt", ".ci/requirements.txt"])
def test_exact_requirements_have_the_same_versions_in_the_constraints(path):
    constraints = requirements("constraints.txt")
    for name, requirement in requirements(path).items():
        assert str(constraints[name].specifier) == str(requirement.specifier), name


def test_exact_requirements_serve_every_part_of_the_package():
    """Those of the notebooks and tests in the first file, optional parts and the linter in CI's."""
    project = tomllib.loads((paths.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    light, ci = requirements("requirements.txt"), requirements(".ci/requirements.txt")
    needed = [*project["project"]["dependencies"], *extras.pop("notebooks"), *extras.pop("test")]
    optional = [*itertools.chain(*extras.values()), *project["dependency-groups"]["lint"]]
    assert not {canonicalize_name(Requirement(text).name) for text in needed} ^ light.keys()
    assert not {canonicalize_name(Requirement(text).name) for text in optional} ^ ci.keys()
    for text in [*needed, *optional]:
        bound = Requirement(text)
        exact = (ci if text in optional else light)[canonicalize_name(bound.name)]
        assert bound.specifier.contains(str(exact.specifier).removeprefix("==")), text
        assert bound.extras <= exact.extras, text


def test_errors_name_extras_that_exist():
    project = tomllib.loads((paths.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    named = {
        node.args[1].value
        for path in MODULES.values()
        for node in ast.walk(syntax(path))
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "missing_extra"
    }
    assert named and named <= set(project["project"]["optional-dependencies"])


def test_imports_run_downwards_only():
    upwards = [
        f"{module} imports {other}"
        for module in IN_ROOMS
        for other in imports(module)
        if room(module) != room(other) and RANK[room(other)] >= RANK[room(module)]
    ]
    assert not upwards


def test_imports_have_no_cycle_and_no_long_chain():
    chains: dict[str, list[str]] = {}

    def chain(module: str, path: tuple[str, ...] = ()) -> list[str]:
        assert module not in path, f"import cycle: {' -> '.join((*path, module))}"
        if module not in chains:
            below = [chain(other, (*path, module)) for other in imports(module)]
            chains[module] = [module, *max(below, key=len, default=[])]
        return chains[module]

    longest = max(map(chain, IN_ROOMS), key=len)
    assert len(longest) <= 2 * len(FLOORS), " -> ".join(longest)


def test_no_module_is_longer_than_350_lines():
    lines = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in MODULES.items()}
    assert not {module: count for module, count in lines.items() if count > 350}


def test_the_formatter_decides():
    assert not [module for module, path in MODULES.items() if "fmt: " + "skip" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", sorted((paths.ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_is_stored_as_jupyterlab_saves_it(path):
    text = path.read_text(encoding="utf-8")
    notebook = json.loads(text)
    assert json.dumps(notebook, sort_keys=True, indent=1, ensure_ascii=False) + "\n" == text
    assert "version" in notebook["metadata"]["language_info"]
    assert "widgets" not in notebook["metadata"]  # of one session, and a page would load scripts for them


def test_every_module_says_what_it_is():
    assert not [module for module, path in MODULES.items() if not ast.get_docstring(syntax(path))]


@pytest.mark.parametrize("package", STUBS)
def test_every_name_of_a_stub_exists(package):
    module = importlib.import_module(package)
    assert sorted(stub(package)) == sorted(module.__all__)
    for name in module.__all__:
        assert getattr(module, name) is not None


def test_importing_the_package_imports_nothing_heavy():
    code = f"""
import json, resource, sys
seconds = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_utime
loaded = lambda: [name for name in {[*HEAVY, "torch"]} if name in sys.modules]
import mtbert
alone = loaded()
start = seconds(); import torch; torch_seconds = seconds() - start
torch_alone = loaded()
mtbert.load_encoder, mtbert.train, mtbert.load_model
print(json.dumps([alone, torch_alone, loaded()]))
"""
    alone, torch_alone, used = in_a_process(code)
    assert alone == []
    assert set(used) == set(torch_alone)


def test_the_shipped_model_answers_without_heavy_packages():
    code = f"""
import json, sys
loaded = lambda: [name for name in {HEAVY} if name in sys.modules]
import mtbert, torch
torch_alone = loaded()
mtbert.ask("A film.")
print(json.dumps([torch_alone, loaded()]))
"""
    torch_alone, used = in_a_process(code)
    assert used == torch_alone


def test_help_answers_at_once_without_torch():
    code = """
import contextlib, io, json, resource, sys
sys.argv = ["mtbert", "--help"]
from mtbert.cli.main import main
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    main()
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([usage.ru_utime + usage.ru_stime, "torch" in sys.modules, "pandas" in sys.modules]))
"""
    seconds, torch_loaded, pandas_loaded = in_a_process(code)
    assert seconds <= 0.6 and not torch_loaded and not pandas_loaded


def test_the_names_that_users_rely_on_resolve():
    for name in ("load_encoder", "pool", "recipe", "train", "load_model", "merge_runs", "open_run", "seed_everything"):
        assert callable(getattr(mtbert, name)), name
    optim, training, checks = mtbert.optim, mtbert.training, mtbert.workbook.checks
    for named in (optim.AdamW, optim.pcgrad, optim.GradVac, training.Trainer, checks.attention.weights):
        assert callable(named)
    for name in ("state_dict", "load_state_dict"):
        assert hasattr(optim.GradVac, name) and hasattr(training.Trainer, name)


def test_threads_wait_asleep_unless_the_user_says_otherwise():
    code = "import mtbert, os; print(os.environ['OMP_WAIT_POLICY'])"
    for chosen, expected in (({}, "passive"), ({"OMP_WAIT_POLICY": "active"}, "active")):
        environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"} | chosen
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
        assert done.stdout.strip() == expected
