"""Models that were altered or made to run code: none runs any, each is refused in one line that says why."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import yaml
from sklearn.svm import SVC

import tgsr
from tgsr.errors import TrackingError
from tgsr.estimators import TGSRClassifier
from tgsr.models._weights import check_weights
from tgsr.models.loading import FOLDER, LOADER
from tgsr.models.registered import ESTIMATOR, HEADER, Header, save_files

NAMES = ("negative", "positive", "surprise")
N_FEATURES = 12


class Payload:
    """Unpickled, it writes a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return (exec, (f"open({str(self.canary)!r}, 'w').close()",))


@dataclass(frozen=True)
class Bundle:
    folder: Path
    canary: Path

    @property
    def data(self) -> Path:
        return self.folder / "data" / FOLDER

    @property
    def code(self) -> str:
        return f"open({str(self.canary)!r}, 'w').close()\ndef _load_pyfunc(path): ...\n"

    def mlmodel(self, **changes: Any) -> None:
        path = self.folder / "MLmodel"
        stored = yaml.safe_load(path.read_text())
        stored["flavors"]["python_function"].update(changes)
        path.write_text(yaml.safe_dump(stored))

    def pickled(self, name: str, protocol: int = 4) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_bytes(pickle.dumps(Payload(self.canary), protocol))

    def flavor(self, name: str, **values: Any) -> None:
        path = self.folder / "MLmodel"
        stored = yaml.safe_load(path.read_text())
        stored["flavors"][name] = values
        path.write_text(yaml.safe_dump(stored))

    def header(self, **changes: Any) -> None:
        path = self.data / HEADER
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    def weights(self, data: bytes) -> None:
        """Other weights, under a header that has their digest."""
        (self.data / ESTIMATOR).write_bytes(data)
        self.header(weights_sha256=hashlib.sha256(data).hexdigest())

    def skops(self, edit: Callable[[dict[str, Any], dict[str, bytes]], None]) -> None:
        """Edit the schema and the files of the weights."""
        with zipfile.ZipFile(self.data / ESTIMATOR) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        schema = json.loads(files.pop("schema.json"))
        edit(schema, files)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
            archive.writestr("schema.json", json.dumps(schema))
        self.weights(packed.getvalue())

    def array(self, attribute: str, value: Any, *, pickled: bool = False) -> None:
        """Replace an array of the estimator."""

        def edit(schema: dict[str, Any], files: dict[str, bytes]) -> None:
            stream = io.BytesIO()
            np.save(stream, value, allow_pickle=pickled)
            files[schema["content"]["content"][attribute]["file"]] = stream.getvalue()

        self.skops(edit)

    def node(self, **node: Any) -> None:
        """Replace a parameter of the estimator by a node of skops'."""
        self.skops(lambda schema, _: schema["content"]["content"].update(kappa={"__id__": 1, **node}))


Attack = Callable[[Bundle], None]


def _code_file(bundle: Bundle, *names: str) -> None:
    for name in names:
        path = bundle.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(bundle.code)


def _loaders() -> Iterator[tuple[str, Attack]]:
    loaders = [
        "evil",
        "os",
        "mlflow.sklearn",
        "mlflow.pyfunc.model",
        f" {LOADER}",
        f"{LOADER}.evil",
        "",
        None,
        7,
        [LOADER],
    ]
    for name in loaders:

        def attack(bundle: Bundle, name: Any = name) -> None:
            _code_file(bundle, "code/evil.py")
            bundle.pickled("python_model.pkl")
            bundle.mlmodel(loader_module=name, code="code")

        yield f"loader {name!r}", attack
    for code in ("code", "../code", "/"):

        def attack(bundle: Bundle, code: str = code) -> None:
            _code_file(bundle, "code/tgsr/__init__.py", "code/sitecustomize.py", "code/tgsr/tracking/model.py")
            bundle.mlmodel(code=code)

        yield f"code {code}", attack
    for key in (
        "python_model",
        "model_code_path",
        "predict_fn",
        "predict_stream_fn",
        "artifacts",
        "config",
        "cloudpickle_version",
    ):

        def attack(bundle: Bundle, key: str = key) -> None:
            _code_file(bundle, "model_code.py")
            bundle.pickled("python_model.pkl")
            bundle.mlmodel(**{key: "python_model.pkl" if key == "python_model" else "model_code.py"})

        yield f"key {key}", attack
    for data in ("data", "..", "/", None):
        yield f"data {data}", lambda bundle, data=data: bundle.mlmodel(data=data)


def _pickles() -> Iterator[tuple[str, Attack]]:
    for flavor in ("sklearn", "xgboost", "pytorch", "tensorflow", "keras", "spark", "statsmodels", "langchain", "dspy"):

        def attack(bundle: Bundle, flavor: str = flavor) -> None:
            bundle.pickled("model.pkl")
            bundle.flavor(flavor, pickled_model="model.pkl", serialization_format="cloudpickle")

        yield f"flavour {flavor}", attack
    for protocol in range(6):

        def attack(bundle: Bundle, protocol: int = protocol) -> None:
            bundle.weights(pickle.dumps(Payload(bundle.canary), protocol))

        yield f"weights are a pickle of protocol {protocol}", attack
    for name in ("python_model.pkl", "estimator.pkl", "model.joblib", "evil.py"):
        yield f"data with {name}", lambda bundle, name=name: bundle.pickled(f"data/{FOLDER}/{name}")
    yield "pickled array", lambda bundle: bundle.array("coef_", np.array([Payload(bundle.canary)]), pickled=True)


def _yaml() -> Iterator[tuple[str, Attack]]:
    tags = ("python/object/apply:os.system", "python/object/new:os.system", "python/name:os.system", "python/module:os")
    for tag in tags:

        def attack(bundle: Bundle, tag: str = tag) -> None:
            text = (bundle.folder / "MLmodel").read_text()
            (bundle.folder / "MLmodel").write_text(f"evil: !!{tag} ['touch {bundle.canary}']\n{text}")

        yield f"yaml {tag}", attack
    bomb = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 40))
    texts = {
        "empty": "",
        "a list": "[1]",
        "no flavours": "a: 1",
        "a bomb": f"{bomb}flavors: *a39",
        "bytes": "\0\1",
        "deep": "[" * 5000,
    }
    for name, text in texts.items():
        yield f"MLmodel is {name}", lambda bundle, text=text: (bundle.folder / "MLmodel").write_text(text)
    yield "MLmodel is huge", lambda bundle: (bundle.folder / "MLmodel").write_text("#" * 2**21)
    yield "MLmodel is missing", lambda bundle: (bundle.folder / "MLmodel").unlink()


def _types() -> Iterator[tuple[str, Attack]]:
    named = [
        ("os", "system"),
        ("builtins", "eval"),
        ("subprocess", "Popen"),
        ("fractions", "Fraction"),
        ("evil", "Evil"),
    ]
    named += [
        ("tgsr.estimators._tgsr", "BatchSolver"),
        ("tgsr.estimators.methods", "importlib"),
        ("tgsr.files", "Path"),
    ]
    for module, name in named:
        for loader in ("ObjectNode", "FunctionNode", "TypeNode"):
            content = {"module_path": module, "function": name} if loader == "FunctionNode" else None
            node = {"__module__": module, "__class__": name, "__loader__": loader, "content": content}
            yield f"{loader} of {module}.{name}", lambda bundle, node=node: bundle.node(**node)
    for loader in ("PartialNode", "MethodNode", "ReduceNode", "OperatorFuncNode", "NoSuchNode", None):
        node = {"__module__": "functools", "__class__": "partial", "__loader__": loader, "content": {"func": "system"}}
        yield f"node {loader}", lambda bundle, node=node: bundle.node(**node)
    yield (
        "another estimator",
        lambda bundle: bundle.skops(lambda schema, _: schema.update(__module__="os", __class__="system")),
    )
    yield "no schema", lambda bundle: bundle.skops(lambda schema, _: schema.clear())
    yield "files are missing", lambda bundle: bundle.skops(lambda _, files: files.clear())


def _weights() -> Iterator[tuple[str, Attack]]:
    good = np.ones((3, N_FEATURES))
    values = {
        "NaN": good * np.nan, "infinity": good * np.inf, "complex": good * 1j, "text": good.astype(str),
        "one class": good[:1], "four classes": np.ones((4, N_FEATURES)), "transposed": good.T, "flat": good.ravel(),
        "empty": good[:0],
    }  # fmt: skip
    for name, value in values.items():
        yield f"coef_ {name}", lambda bundle, value=value: bundle.array("coef_", value)
    for name, value in {
        "out of range": [0, 1, 7],
        "doubled": [0, 1, 1],
        "floats": [0.0, 1.0, 2.0],
        "two": [0, 1],
    }.items():
        yield f"classes_ {name}", lambda bundle, value=value: bundle.array("classes_", np.array(value))
    norms = {
        "NaN": [np.nan] * 3,
        "infinite": [np.inf] * 3,
        "negative": [-1.0] * 3,
        "too many": [1.0] * 13,
        "a grid": [[1.0]],
    }
    for name, value in norms.items():
        yield f"norms {name}", lambda bundle, value=value: bundle.array("region_norms_", np.array(value))
    for name, data in {"empty": b"", "text": b"{}", "half a zip": b"PK\3\4" + b"\0" * 40}.items():
        yield f"weights are {name}", lambda bundle, data=data: bundle.weights(data)

    def append(bundle: Bundle) -> None:
        path = bundle.data / ESTIMATOR
        path.write_bytes(path.read_bytes() + b"\0")

    yield "weights altered", append
    yield "weights missing", lambda bundle: (bundle.data / ESTIMATOR).unlink()


def _headers() -> Iterator[tuple[str, Attack]]:
    changes: dict[str, Any] = {
        "class_names": ([], ["a"], ["a", "a", "b"], [1, 2, 3], "abc" * 400, None, ["a", "b"]),
        "n_features": (0, -1, 11, 10**12, "12", 12.0, None, True),
        "feature_names": (["a"], ["a"] * N_FEATURES, list(range(N_FEATURES)), ["\x1b[2J", *"abcdefghijk"], 5, None),
        "grouping": (5, None),
        "preprocess": ("evil", 5, None),
        "scaling": (
            {"scale": [0.0] * N_FEATURES},
            {"offset": [1.0]},
            {"offset": [float("nan")] * N_FEATURES},
            {"x": []},
            5,
        ),
        "extraction": ({"size": 10**9}, {"radii": [3, 3, 10**6]}, {"grid": [1] * 99}, {"n_frames": -1}, [], None, 3),
        "facts": ({"a": 1}, [], None),
        "weights_sha256": ("", "0" * 64, None),
        "unknown": (1,),
    }
    for key, values in changes.items():
        for value in values:
            yield f"header {key} {value!r:.30}", lambda bundle, key=key, value=value: bundle.header(**{key: value})
    for name, text in {"empty": "", "a list": "[]", "deep": "[" * 100_000, "huge": " " * 2**23}.items():
        yield f"header is {name}", lambda bundle, text=text: (bundle.data / HEADER).write_text(text)


ATTACKS = dict(attack for family in (_loaders, _pickles, _yaml, _types, _weights, _headers) for attack in family())


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's folder as MLflow writes it, of a small TGSR with groups of its own."""
    folder = tmp_path_factory.mktemp("good")
    rng = np.random.default_rng(0)
    estimator = TGSRClassifier(2, 0.1, groups=np.arange(N_FEATURES) // 4)
    estimator.fit(rng.random((9, N_FEATURES)), np.arange(9) % 3, X_target=rng.random((6, N_FEATURES)))
    (folder / FOLDER).mkdir()
    save_files(estimator, Header(NAMES, N_FEATURES, "own"), folder / FOLDER)
    mlflow.pyfunc.save_model(
        folder / "bundle",
        loader_module=LOADER,
        data_path=str(folder / FOLDER),
        pip_requirements=[],
        input_example=np.zeros((1, N_FEATURES)),
    )
    return folder / "bundle"


def test_an_unaltered_model_is_loaded(good: Path) -> None:
    table = tgsr.load_model(good).predict(np.ones((2, N_FEATURES)))
    assert list(table) == ["label", "score_negative", "score_positive", "score_surprise", "groups"]
    assert tgsr.load_model(good.as_uri()).header.class_names == NAMES


def test_there_are_at_least_a_hundred_attacks() -> None:
    assert len(ATTACKS) >= 100


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if place % 25 == 0 else pytest.mark.faults, id=name)
        for place, name in enumerate(ATTACKS)
    ],
)
def test_a_hostile_model_is_refused_and_runs_nothing(name: str, good: Path, tmp_path: Path) -> None:
    bundle = Bundle(tmp_path / "model", tmp_path / "canary")
    shutil.copytree(good, bundle.folder)
    before = list(sys.path), set(sys.modules)
    ATTACKS[name](bundle)
    with pytest.raises(TrackingError) as refused:
        tgsr.load_model(bundle.folder)
    assert not bundle.canary.exists()
    assert "\n" not in str(refused.value)
    assert str(bundle.folder) in str(refused.value)
    assert sys.path == before[0]
    assert not {"evil", "sitecustomize_evil"} & (set(sys.modules) - before[1])


SVC_ARRAYS: dict[str, Any] = {
    "support_": lambda value: value + 1000,
    "_n_support": lambda value: value * 2,
    "_dual_coef_": lambda value: value[:, :-1],
    "dual_coef_": lambda value: value[:, :-1],
    "_intercept_": lambda value: value[:-1],
    "_probA": lambda value: np.zeros(1),
    "support_vectors_": lambda value: value[:-1],
    "shape_fit_": lambda value: (1, 1),
    "_sparse": lambda value: True,
}


@pytest.mark.faults
@pytest.mark.parametrize("kernel", ["rbf", "precomputed"])
@pytest.mark.parametrize("name", SVC_ARRAYS)
def test_arrays_that_libsvm_would_read_beyond_their_ends_are_refused(name: str, kernel: str) -> None:
    X = np.random.default_rng(0).random((12, 12))
    svc = SVC(kernel=kernel).fit(X @ X.T, np.arange(12) % 3)
    check_weights(svc)
    if (kernel, name) == ("precomputed", "support_vectors_"):
        return  # it has none
    setattr(svc, name, SVC_ARRAYS[name](getattr(svc, name)))
    with pytest.raises(TrackingError, match="do not fit each other"):
        check_weights(svc)


def test_classes_of_ones_own_are_made_where_they_are_trusted(good: Path, tmp_path: Path, monkeypatch: Any) -> None:
    package = tmp_path / "own" / "own_estimators.py"
    package.parent.mkdir()
    package.write_text(
        "import numpy as np\n"
        "class Nearest:\n"
        "    def fit(self, X, y):\n"
        "        self.means = np.array([X[y == k].mean(axis=0) for k in np.unique(y)])\n"
        "        return self\n"
        "    def predict(self, X):\n"
        "        return ((X[:, None] - self.means) ** 2).sum(axis=2).argmin(axis=1)\n"
    )
    monkeypatch.syspath_prepend(str(package.parent))
    import own_estimators  # type: ignore[import-not-found]

    shutil.copytree(good, tmp_path / "model")
    estimator = own_estimators.Nearest().fit(np.eye(3, N_FEATURES), np.arange(3))
    save_files(estimator, Header(NAMES, N_FEATURES), tmp_path / "model" / "data" / FOLDER)
    with pytest.raises(TrackingError, match=r"own_estimators\.Nearest"):
        tgsr.load_model(tmp_path / "model")
    model = tgsr.load_model(tmp_path / "model", trusted=["own_estimators:Nearest"])
    assert model.predict(np.eye(3, N_FEATURES))["label"].tolist() == list(NAMES)


def test_loading_and_predicting_rows_imports_nothing_heavy(good: Path) -> None:
    code = (
        "import sys, numpy, tgsr\n"
        f"tgsr.load_model({str(good)!r}).predict(numpy.ones((2, {N_FEATURES})))\n"
        "heavy = {'numba', 'cv2', 'matplotlib', 'optuna', 'h5py', 'mlflow'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
