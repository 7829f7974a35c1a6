"""pyproject.toml is the source; constraints.txt, environment.yml files, hooks, CI, badges have to agree with it."""

import importlib.metadata as metadata
import re
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
FLOOR = Version(PROJECT["requires-python"].removeprefix(">="))
CPU_INDEX = "--extra-index-url https://download.pytorch.org/whl/cpu"
REPOSITORY = PROJECT["urls"]["Repository"]
ON_GITHUB = REPOSITORY.removeprefix("https://github.com/")
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FOLLOWS_TORCH = re.compile(r"nvidia-|cuda-|triton$")


def load(path: str) -> dict:
    return yaml.safe_load((ROOT / path).read_text())


def requirements(*extras: str) -> dict[str, SpecifierSet]:
    """Return the direct dependencies of the package with these extras, extras of extras included."""
    lines = list(PROJECT["dependencies"])
    for extra in extras:
        lines += PROJECT["optional-dependencies"][extra]
    found: dict[str, SpecifierSet] = {}
    for req in map(Requirement, lines):
        if canonicalize_name(req.name) == PROJECT["name"]:
            found |= requirements(*req.extras)
        else:
            found[canonicalize_name(req.name)] = req.specifier
    return found


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def pip_lines(path: str) -> tuple[list[str], dict[str, SpecifierSet]]:
    """Return the option lines and the named packages of the pip section."""
    (section,) = (d["pip"] for d in load(path)["dependencies"] if isinstance(d, dict))
    named = [Requirement(line) for line in section if not line.startswith("-")]
    assert len({canonicalize_name(r.name) for r in named}) == len(named), "a package is named twice"
    return [line for line in section if line.startswith("-")], {canonicalize_name(r.name): r.specifier for r in named}


def conda_specs(path: str) -> list[str]:
    return [d for d in load(path)["dependencies"] if isinstance(d, str)]


ENVIRONMENTS = pytest.mark.parametrize(
    ("path", "extras", "options"),
    [
        ("environment.yml", ("lab", "test"), ["-e .[lab,test]"]),
        (".binder/environment.yml", ("lab",), [CPU_INDEX, "-e ../.[lab]"]),
    ],
)


@ENVIRONMENTS
def test_the_pip_section_names_the_dependencies_with_their_bounds(path, extras, options):
    found, named = pip_lines(path)
    assert named == requirements(*extras)
    assert found == options


@ENVIRONMENTS
def test_conda_gives_python_and_pip_only(path, extras, options):
    assert load(path)["channels"] == ["conda-forge", "nodefaults"]
    python, pip = conda_specs(path)
    assert pip == "pip"
    assert Version(python.removeprefix("python=")) == FLOOR


@ENVIRONMENTS
def test_conda_reads_the_specs(path, extras, options):
    rattler = pytest.importorskip("rattler", reason="py-rattler, of the dev extra, reads conda specs")
    for spec in conda_specs(path):
        assert rattler.MatchSpec(spec, strict=True).name is not None


def test_constraints_are_sorted_plain_versions():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert lines == sorted(set(lines))
    for line in lines:
        (pin,) = (req := Requirement(line)).specifier
        assert (pin.operator, Version(pin.version).local, req.marker, req.url) == ("==", None, None, None), line
        assert req.name == canonicalize_name(req.name)
        assert not FOLLOWS_TORCH.match(req.name), f"{req.name} follows torch"
    assert len(constraints()) == len(lines), "a package is pinned twice"


def test_constraints_pin_every_direct_dependency_within_its_bounds():
    pins = constraints()
    for name, bounds in requirements("test", "dev").items():
        assert name in pins, f"{name} is not pinned in constraints.txt"
        assert bounds.contains(pins[name]), f"{name}=={pins[name]} is outside {bounds}"


@pytest.mark.skipif(sys.platform != "linux", reason="constraints.txt lists what Linux needs")
def test_constraints_pin_what_the_dependencies_need():
    pins, todo, seen = constraints(), [(name, "") for name in requirements("test", "dev")], set()
    while todo:
        name, extra = todo.pop()
        if (name, extra) in seen or FOLLOWS_TORCH.match(name):
            continue
        seen.add((name, extra))
        assert name in pins, f"{name} is not pinned in constraints.txt"
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # this environment lacks the extra that asks for it
        for req in map(Requirement, needs):
            if req.marker is None or req.marker.evaluate({"extra": extra}):
                todo += [(canonicalize_name(req.name), e) for e in ("", *req.extras)]


def test_each_extra_holds_the_one_before():
    """The Makefile's stamps count on it: whoever has `dev` has `test`, `app`, `lab` and the package."""
    assert list(PROJECT["optional-dependencies"]) == [
        "lab",
        "app",
        "tables",
        "cluster",
        "video",
        "search",
        "tracking",
        "test",
        "dev",
    ]
    for smaller, larger in [("lab", "app"), ("app,tables,cluster,video,search,tracking", "test"), ("test", "dev")]:
        assert f"{PROJECT['name']}[{smaller}]" in PROJECT["optional-dependencies"][larger]


def test_everything_names_the_same_python():
    assert PYPROJECT["tool"]["ruff"]["target-version"] == f"py{FLOOR.major}{FLOOR.minor}"
    assert Version(PYPROJECT["tool"]["mypy"]["python_version"]) == FLOOR
    matrix = load(".github/workflows/ci.yml")["jobs"]["check"]["strategy"]["matrix"]["python"]
    assert min(map(Version, matrix)) == FLOOR
    classifiers = [c.rpartition(" ")[2] for c in PROJECT["classifiers"] if "Python :: 3." in c]
    assert matrix == classifiers


def test_hooks_run_the_versions_ci_runs():
    pins = constraints()
    hooks = {repo["repo"].rpartition("/")[2]: repo["rev"] for repo in load(".pre-commit-config.yaml")["repos"]}
    assert hooks == {"ruff-pre-commit": f"v{pins['ruff']}", "nbstripout": pins["nbstripout"]}


def test_the_citation_names_this_version():
    assert load("CITATION.cff")["version"] == PROJECT["version"]


def colab_badge(notebook: Path) -> str:
    address = f"https://colab.research.google.com/github/{ON_GITHUB}/blob/main/notebooks/{notebook.name}"
    return f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({address})"


def test_the_readme_has_badges_for_colab_and_binder():
    readme = (ROOT / "README.md").read_text()
    assert colab_badge(NOTEBOOKS[0]) in readme
    binder = f"https://mybinder.org/v2/gh/{ON_GITHUB}/main?labpath=notebooks/{NOTEBOOKS[0].name}"
    assert f"[![Open in Binder](https://mybinder.org/badge_logo.svg)]({binder})" in readme
    assert load("CITATION.cff")["repository-code"] == REPOSITORY


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_each_notebook_has_a_badge_and_installs_the_package_on_colab_only(path):
    cells = nbformat.read(path, as_version=4).cells
    assert cells[0].source.split("\n\n")[1] == colab_badge(path)
    first = next(cell.source for cell in cells if cell.cell_type == "code")
    widgets = requirements("lab")["ipywidgets"]  # not the whole extra: Colab's kernel has to stay as it is
    bounds = ",".join(sorted(map(str, widgets), reverse=True))
    install = f'if "COLAB_RELEASE_TAG" in os.environ:\n    %pip install -q "ipywidgets{bounds}" git+{REPOSITORY}\n'
    before, found, after = first.partition(install)
    assert found, f"expected:\n{install}"
    assert "sre2l_core" not in before
    assert "sre2l_core" in after
