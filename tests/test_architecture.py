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
    "errors",
    "files",
    "version",
    "stopping",
    "_jit",
    "protocols",
    "regions",
    "datasets",
    "preprocessing",
    "features",
    "demo",
    "solvers",
    "estimators",
    "evaluation",
    "tracking",
    "reports",
    "studies",
    "cli",
]


def layer(module: str) -> str | None:
    parts = module.split(".")
    if parts[0] == "studies":
        return "studies"
    if parts[0] != "tgsr" or len(parts) == 1 or parts[1] == "__main__":
        return None
    return parts[1]


def modules() -> list[Path]:
    return sorted([*ROOT.glob("tgsr/**/*.py"), *ROOT.glob("studies/**/*.py")])


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_only_upwards(path):
    own = layer(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
    if own is None:
        return
    for name in imported(path):
        other = layer(name)
        if other in ORDER:
            assert ORDER.index(other) <= ORDER.index(own), f"{own} must not import {other}"


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
        assert name.replace("-", "_") not in tgsr.cli.__all__


def test_what_is_public_is_meant_to_be_and_is_little():
    # a module whose name begins with an underscore is nobody else's business
    names = 0
    for path in modules():
        if any(part.startswith("_") and part != "__init__.py" for part in path.relative_to(ROOT).parts):
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
                names += len(ast.literal_eval(node.value))
    assert names <= 300


def test_every_link_between_pages_leads_somewhere():
    # not all below the root: a model that was registered there carries copies
    for page in [ROOT / "README.md", *ROOT.glob("tgsr/**/README.md"), *ROOT.glob("studies/**/README.md")]:
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not target.startswith(("http:", "https:", "mailto:")):
                assert (page.parent / target).exists(), f"{page}: {target}"
