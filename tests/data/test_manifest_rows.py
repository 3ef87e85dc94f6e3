"""Reading by columns gives what reading row by row gave: the rule, one row at a time, is the oracle."""

import csv
import io
import json
import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from care_tf.data import manifest_from_rows, read_manifest
from care_tf.errors import InputError

FILES = {"a.png": (20, 10), "b.jpg": (20, 10), "caf\u00e9.png": (8, 8), "sub/c.png": (30, 30)}
COLUMNS = ("image", "label", "boxes", "mask", "group", "split", "fold", "box_source")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    (folder / "sub").mkdir()
    for name, size in FILES.items():
        Image.new("L", size).save(folder / name)
    (folder / "broken.png").write_bytes((folder / "a.png").read_bytes()[:40])
    return folder


# oracle


def _oracle(text, folder, check_images):
    """Labels, paths, texts and boxes of every row, or the problems, of a CSV whose cells are split already."""
    header, *records = text
    problems, first, rows = [], {}, []
    for line, record in enumerate(records, start=2):
        cells = dict.fromkeys(COLUMNS, "") | {name: cell.strip() for name, cell in zip(header, record, strict=True)}
        if not any(cells.values()):
            continue
        name = cells["image"]
        found = [f"the {column} is empty" for column in ("image", "label") if not cells[column]]
        boxes, problem = _boxes(cells["boxes"], Path(name).name)
        found += [problem] if problem else []
        for column in ("image", "mask"):
            cells[column] = cells[column] and _file(cells[column], folder)
        for column in ("label", "group", "split", "fold", "box_source"):
            cells[column] = unicodedata.normalize("NFC", cells[column])
        if name and first.setdefault(cells["image"], line) != line:
            found.append(f"image {Path(cells['image']).name} is already on line {first[cells['image']]}")
        size = (np.inf, np.inf)
        if check_images and name:
            path = Path(cells["image"])
            if not path.exists():
                odd = sorted({c for c in cells["image"] if c == "\\" or ord(c) > 127})
                ends = f"; its path has {', '.join(f'{c} (U+{ord(c):04X})' for c in odd)}" if odd else ""
                found.append(f"image {path} does not exist{ends}")
            elif path.name == "broken.png":
                found.append("broken")
            else:
                size = FILES[str(path.relative_to(folder))]
        if check_images and cells["mask"] and not Path(cells["mask"]).exists():
            found.append(f"mask {cells['mask']} does not exist")
        elif cells["mask"] and size[0] not in (20, np.inf) and check_images:
            found.append(f"mask {cells['mask']} is 20 x 10 px and the image {size[0]} x {size[1]} px")
        if len(boxes) and cells["mask"]:
            found.append(f"{Path(cells['image']).name}: both boxes and a mask")
        for box in boxes:
            x0, y0, x1, y1 = box
            is_good = np.isfinite(box).all() and 0 <= x0 < x1 <= size[0] and 0 <= y0 < y1 <= size[1]
            found += [] if is_good else [f"{Path(cells['image']).name}: box"]
        problems += [f"line {line}: {problem}" for problem in found]
        rows.append((cells, np.array(boxes, np.float32).reshape(-1, 4)))
    return problems, rows


def _boxes(text, name):
    try:
        given_boxes = json.loads(text or "[]")
    except json.JSONDecodeError:
        return [], f"boxes {text!r} are not a JSON list"
    try:
        array = np.asarray(given_boxes, np.float32)
        if any(isinstance(edge, bool | str) for box in given_boxes for edge in box):
            array = None
    except (TypeError, ValueError, OverflowError):
        array = None
    if array is None or (array.shape != (0,) and array.shape[1:] != (4,)):
        return [], f"{name}: boxes must be a list"
    return array.tolist(), ""


def _file(name, folder):
    plain = os.path.normpath(folder / name)
    if os.path.lexists(plain):
        return plain
    other = unicodedata.normalize("NFC", name.replace("\\", "/"))
    return os.path.normpath(folder / other) if os.path.lexists(folder / other) else plain


IMAGES = st.sampled_from(
    [
        *FILES,
        *("./a.png", "sub/../a.png", "sub//c.png", ".\\a.png", "sub\\c.png", "cafe\u0301.png"),
        *("none.png", "kein\u00e9.png", "broken.png", ""),
    ]
)
BOXES = st.sampled_from(
    [
        *("", "[]", "[[1, 2, 3, 4]]", "[[1,2,3,4],[0.5,0.25,7.125,8]]", "[[1e0, 2, 3.0E0, 4]]", " [ [1,2,3,4] ] "),
        *("[[1, 2, 30, 4]]", "[[3, 2, 1, 4]]", "[[1, 2, NaN, 4]]", "[[1, 2, 1e400, 4]]", "[[true, 2, 3, 4]]"),
        *('[["1", "2", "3", "4"]]', "[[1, 2, 3]]", "[[]]", "[1, 2, 3, 4]", "[[[1], [2], [3], [4]]]", "[null]"),
        *("null", "0", '""', "{}", '"1234"', '{"abcd": 1}', "[[1, 2", "3, 4]]", "3, 4]],[[5, 6, 7, 8]]", "boxes"),
    ]
)
LABELS = st.sampled_from(["a", "b, c", 'd "e"', "caf\u00e9", "cafe\u0301", " a ", "", "two\twords"])
TEXTS = st.sampled_from(["", "1", "train", " x ", "p;1", "e\u0301", "0,5"])
ROWS = st.lists(
    st.tuples(IMAGES, LABELS, BOXES, st.sampled_from(["", "", "", "a.png", "nowhere.png"]), *[TEXTS] * 4), max_size=6
)


def _same(problem, expected):
    return problem.startswith(expected) or (expected.endswith("broken") and "broken.png" in problem)


@settings(max_examples=150)
@given(
    ROWS,
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.permutations(COLUMNS),
    st.booleans(),
)
def test_reading_by_columns_is_reading_by_rows(folder, rows, separator, end, encoding, order, check_images):
    places = [COLUMNS.index(name) for name in order]
    table = [list(order), *([row[place] for place in places] for row in rows)]
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, lineterminator=end).writerows(table)
    path = folder / "m.csv"
    path.write_bytes(text.getvalue().encode(encoding))
    problems, expected = _oracle(table, folder, check_images)
    try:
        found = read_manifest(path, check_images=check_images)
    except InputError as error:
        if not expected:
            assert "has no rows" in str(error)
            return
        if len(problems) == 0:  # what rows do not show
            assert "all boxes lie within one pixel" in str(error)
            return
        listed = str(error).partition(": ")[2]
        for problem in problems[:20]:
            _, there, listed = listed.partition(problem.partition(": ")[0] + ": ")
            assert there and _same(listed, problem.partition(": ")[2]), (problem, str(error))
        assert f"has {len(problems)} problem" in str(error)
        return
    assert not problems
    names = ("image_paths", "mask_paths", "groups", "splits", "folds", "box_sources")
    columns = ("image", "mask", "group", "split", "fold", "box_source")
    for name, column in zip(names, columns, strict=True):
        assert getattr(found, name) == tuple(cells[column] for cells, _ in expected)
    assert [found.class_names[label] for label in found.labels] == [cells["label"] for cells, _ in expected]
    for own, (_, boxes) in zip(found.boxes, expected, strict=True):
        assert own.dtype == np.float32
        np.testing.assert_array_equal(own, boxes)
    in_memory = manifest_from_rows(
        [dict(zip(order, row, strict=True)) for row in table[1:]], folder, check_images=False
    )
    assert in_memory.fingerprint() == found.fingerprint()


# edges


def test_a_row_that_completes_the_boxes_of_another_is_bad_all_the_same(folder):
    (folder / "m.csv").write_text('image,label,boxes\na.png,x,"[[1,2"\nb.jpg,x,"3,4]],[[5,6,7,8]]"\n')
    with pytest.raises(InputError, match="has 2 problems: line 2: boxes .* line 3: boxes"):
        read_manifest(folder / "m.csv")


def test_what_a_row_keeps_is_small(tmp_path):
    import tracemalloc

    with open(tmp_path / "m.csv", "w") as file:
        file.write("image,label,boxes,group,split,fold\n")
        file.writelines(
            f'part_{i % 7}/image_{i:07d}.png,class {i % 5},"[[1, 2, {3 + i}, 4]]",patient {i // 3},train,{i % 5}\n'
            for i in range(20_000)
        )
    tracemalloc.start()
    manifest = read_manifest(tmp_path / "m.csv", check_images=False)
    kept, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(manifest) == 20_000 and kept < 350 * 20_000 and most < 800 * 20_000
