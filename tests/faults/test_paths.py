"""F14, and what names can carry: paths out of the data, archives, markup and formulas, met by a command."""

from __future__ import annotations

import ast
import json
import shutil
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import pytest

import segtrain
from tests.commands.conftest import Trained
from tests.commands.projects import CONFIG, done, refused, rows
from tests.faults.studies import contents, faults_of, image_of, label_of, small_study
from tests.faults.table import fault

TASK = "task: {labels: {background: 0, organ: 1}}\n"
MARKUP = "<img src=x onerror=alert(1)>"
FORMULA = "=1+1"


def decathlon(root: Path, image: str) -> Path:
    """A Decathlon task of which one image is named as a test wants it."""
    config = small_study(root / "outside")
    data = root / "data"
    for name, file in (("imagesTr", image_of), ("labelsTr", label_of)):
        (data / name).mkdir(parents=True)
        for case in ("P0", "P1", "P2"):
            shutil.copy(file(config, case), data / name / f"{case}.nii.gz")
    training = [{"image": f"./imagesTr/{c}.nii.gz", "label": f"./labelsTr/{c}.nii.gz"} for c in ("P0", "P1")]
    training.append({"image": image, "label": "./labelsTr/P2.nii.gz"})
    about = {"labels": {"0": "background", "1": "organ"}, "modality": {"0": "T1"}, "training": training}
    (data / "dataset.json").write_text(json.dumps({**about, "numTraining": 3, "name": "x", "tensorImageSize": "3D"}))
    path = root / "config.yaml"
    rest = CONFIG.split("\n", 2)[2]
    path.write_text("data: {layout: decathlon, root: data, channels: [T1]}\n" + TASK + rest)
    return path


@fault("F14", "`../`, an absolute name and a drive in dataset.json", then="3, the name; the file is not read")
@pytest.mark.parametrize("image", ["../outside/images/P2.nii.gz", "/etc/passwd", "C:\\x.nii.gz", "imagesTr/../../x"])
def test_a_name_that_leads_out_of_the_data_is_refused(tmp_path: Path, image: str) -> None:
    text = faults_of(decathlon(tmp_path, image))
    assert "lead out of the data set" in text


@fault("F14", "a link in the data set that leads out of it", then="3, where it points")
def test_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    config = decathlon(tmp_path, "./imagesTr/P2.nii.gz")
    link = tmp_path / "data" / "imagesTr" / "P2.nii.gz"
    link.unlink()
    link.symlink_to(tmp_path / "outside" / "images" / "P2.nii.gz")
    text = faults_of(config)
    assert "link leads out" in text


@fault("F14", "archives with `../` in them", then="refused: 2 or 3, no archive is ever opened for scans")
def test_no_archive_is_unpacked(tmp_path: Path) -> None:
    """Whatever could unpack one is imported only to read a torch checkpoint, and that extracts nothing."""
    package = Path(segtrain.__file__).parent
    users: dict[str, set[str]] = {}
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in {"zipfile", "tarfile"} & {*names}:
                users.setdefault(name, set()).add(path.relative_to(package).as_posix())
            if isinstance(node, ast.Attribute):
                assert node.attr not in ("extractall", "unpack_archive"), path
    assert users == {"zipfile": {"training/foreign.py"}}
    slip = tmp_path / "images" / "slip.zip"
    slip.parent.mkdir()
    with zipfile.ZipFile(slip, "w") as archive:
        archive.writestr("../slipped.nii.gz", b"x")
    assert refused("init", slip.parent, "-o", tmp_path / "config.yaml", code=3)
    assert not (tmp_path / "slipped.nii.gz").exists()


@fault("F14", "an override that leaves a run folder's own names", then="2, the key")
def test_the_label_of_a_loss_is_no_path(trained: Trained, tmp_path: Path) -> None:
    losses = "compare.losses=[{name: dice, label: ../../x}, dice_ce]"
    told = done("compare-losses", "--config", trained.config, losses, "--run", tmp_path / "sweep", code=2)
    assert "cannot name a folder" in told.output
    assert not (tmp_path / "x").exists()


class Tags(HTMLParser):
    """Every tag and attribute of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


@pytest.fixture
def hostile(trained: Trained, tmp_path: Path) -> Path:
    """An evaluation of cases whose names are markup and a formula."""
    for folder, find in (("images", image_of), ("labels", label_of)):
        (tmp_path / folder).mkdir()
        for name in (MARKUP, FORMULA, "'\"--><script>alert(2)</script>".replace("/", "\u2215")):
            shutil.copy(find(trained.config, "P0"), tmp_path / folder / f"{name}.nii.gz")
    places = ("--images", tmp_path / "images", "--labels", tmp_path / "labels", "--out", tmp_path / "out")
    done("eval", "--run", trained.run, *places)
    return tmp_path / "out"


@fault("F14", "cases called `<img onerror=...>` and `<script>`", then="0, the report shows the names and runs nothing")
def test_names_of_cases_are_no_markup(hostile: Path) -> None:
    text = (hostile / "report.html").read_text(encoding="utf-8")
    page = Tags()
    page.feed(text)
    assert page.seen
    assert "&lt;img src=x onerror" in text
    assert not [tag for tag, attributes in page.seen if any(name.startswith("on") for name in attributes)]
    assert not [tag for tag, attributes in page.seen if (attributes.get("src") or "") == "x"]
    assert "<script>alert" not in text


@fault("F14", "a case called `=1+1`", then="0, no field of a CSV is a formula to a spreadsheet")
def test_names_of_cases_are_no_formulas(hostile: Path) -> None:
    for name in ("cases.csv", "volumes.csv"):
        fields = [value for row in rows(hostile / name) for value in row.values()]
        assert any(FORMULA in field for field in fields)
        assert not any(field.startswith(("=", "@", "+")) for field in fields)
    before = contents(hostile)
    done("report", hostile)
    assert contents(hostile) == before


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="from 3.13 on such a link has a place, and holds nothing")
@fault("F14", "a link that leads to itself, in place of a folder of data", then="3, the path")
def test_a_folder_that_is_a_link_to_itself_is_told(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    for command in (("check", loop), ("init", loop), ("eval", "--predictions", loop, "--labels", loop)):
        assert str(loop) in str(refused(*command, code=3))
