"""The layout's one rule: data flows one way, so imports point only upwards."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# what stands later may import what stands earlier, never the reverse
ORDER = [
    *("errors", "files", "exports", "names", "stopping", "autologging", "jit", "plugins", "version", "protocols"),
    *("regions", "datasets"),
    *("preprocessing", "features", "demo", "solvers", "estimators", "evaluation", "trials", "tracking", "models"),
    *("reports", "study", "cli"),
]
PUBLIC = [
    "tgsr",
    *(f"tgsr.{name}" for name in ("datasets", "estimators", "evaluation", "study", "models", "reports")),
]


def modules(folder: str = "tgsr") -> dict[str, Path]:
    """The modules of a package by name."""
    found = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        found[".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")] = path
    return found


def imports(path: Path, *, when_loaded: bool = False) -> set[str]:
    """What a file imports, as ``package.module`` and ``package.module.name``; of ``when_loaded`` not in functions."""
    names: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif when_loaded and isinstance(node, (ast.FunctionDef, ast.Lambda)):
            continue
        elif when_loaded and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)
    return names


@pytest.mark.parametrize("module", modules())
def test_imports_point_only_upwards(module):
    own = module.split(".")[1:2]
    if not own or own == ["__main__"]:
        return
    for name in imports(modules()[module]):
        other = name.split(".")
        if other[0] == "tgsr" and len(other) > 1 and other[1] in ORDER:
            assert ORDER.index(other[1]) <= ORDER.index(own[0]), f"{module} must not import {name}"


def test_every_package_has_its_place_in_the_order():
    assert {module.split(".")[1] for module in modules() if "." in module} - {"__main__"} == set(ORDER)


def test_tgsr_does_without_what_is_studied_with_it():
    for module, path in modules().items():
        assert not [name for name in imports(path) if name.split(".")[0] in ("studies", "tests")], module


def test_what_begins_with_an_underscore_is_imported_by_its_own_package_only():
    private = []
    for module, path in {**modules(), **modules("studies")}.items():
        for name in imports(path):
            parts = name.split(".")
            hidden = [place for place, part in enumerate(parts) if part.startswith("_") and not part.startswith("__")]
            if parts[0] == "tgsr" and hidden and not f"{module}.".startswith(".".join(parts[: hidden[0]]) + "."):
                private.append(f"{module} imports {name}")
    assert not private, "\n".join(private)


def test_files_import_each_other_in_no_circle():
    known = modules()
    graph: dict[str, set[str]] = {}
    for module, path in known.items():
        # to import a module is to import the packages above it, which are then half loaded within a circle
        found = {name for name in imports(path, when_loaded=True) if name in known}
        graph[module] = {name for name in found if not module.startswith(f"{name}.")} - {module}
    while free := {module for module, needs in graph.items() if not needs}:
        graph = {module: needs - free for module, needs in graph.items() if module not in free}
    # what only waits for a circle is not in it
    while tips := set(graph) - {name for needs in graph.values() for name in needs}:
        graph = {module: needs for module, needs in graph.items() if module not in tips}
    assert not graph, graph


@pytest.mark.parametrize("name", PUBLIC)
def test_a_package_shows_what_it_offers_and_nothing_else(name):
    # in a process of its own: what other tests have imported would be names of the package, too
    code = (
        f"import {name} as package\n"
        "shown = [name for name in dir(package) if not name.startswith('__')]\n"
        "offered = [name for name in package.__all__ if not name.startswith('__')]\n"
        "assert shown and sorted(shown) == sorted(offered), set(shown) ^ set(offered)\n"
        "for name in package.__all__:\n"
        "    getattr(package, name)\n"
    )
    finished = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr


def test_the_top_level_holds_the_agreed_names_and_nothing_else():
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.splitlines()
    if not tracked:
        pytest.skip("not a git checkout")
    top = {name.split("/")[0] for name in tracked if not name.startswith(".")}
    assert top == {"pyproject.toml", "MLproject", "README.md", "conda.yaml", "tgsr", "studies", "tests"}


def test_help_does_not_wait_for_heavy_imports():
    code = (
        "import sys, tgsr.cli\n"
        "heavy = {'mlflow', 'optuna', 'cv2', 'numba', 'matplotlib', 'pandas'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    finished = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr


def test_every_command_of_the_help_can_be_imported_and_documents_its_options():
    from tgsr.cli import COMMANDS, cli

    context = cli.make_context("tgsr", ["--help"], resilient_parsing=True)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        assert command.help, name
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert parameter.help, f"{name} {parameter.name}"


def test_no_command_takes_the_name_of_something_in_its_package():
    # importing a submodule sets its name on the package: a command called like the group would hide it
    import tgsr.cli

    for name in tgsr.cli.COMMANDS:
        assert name.replace("-", "_") != "cli"


def test_every_link_between_pages_leads_somewhere():
    # not all below the root: a model that was registered there carries copies
    for page in [ROOT / "README.md", *ROOT.glob("tgsr/**/README.md"), *ROOT.glob("studies/**/README.md")]:
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not target.startswith(("http:", "https:", "mailto:")):
                assert (page.parent / target).exists(), f"{page}: {target}"
