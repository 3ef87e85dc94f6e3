import csv
import dataclasses
import json
import os
import pathlib
import pickle
import sys

import numpy as np
import pytest
from PIL import Image

from care_tf.box_geometry import scale_boxes
from care_tf.boxes._map_doubt import box_doubt
from care_tf.boxes.box_details import details_path
from care_tf.boxes.making.manifest_boxes import make_boxes
from care_tf.boxes.making.methods import FunctionMethod
from care_tf.boxes.making.one_image import BoxSettings
from care_tf.data.manifest import Manifest, read_manifest, write_manifest
from care_tf.errors import InputError
from care_tf.progress_journal import ProgressJournal
from care_tf.workers import Workers

ONE_WORKER = Workers(num_workers=1)
SQUARES = {name: [x0, 5, x0 + 20, 25] for name, x0 in (("a", 4), ("b", 8), ("c", 12), ("d", 16))}


class Red:
    """The red channel as the map; notes the images it was called for, and does as the test asks of some."""

    name = "red"

    def __init__(self, folder, settings=None, fails=(), interrupts=()):
        self.calls_path = str(folder / "calls.txt")
        self.settings = settings or {}
        self.fails, self.interrupts = fails, interrupts

    def __call__(self, image, image_path, group, class_name):
        stem = os.path.splitext(os.path.basename(image_path))[0]
        with open(self.calls_path, "a") as file:
            file.write(f"{stem} {group} {class_name}\n")
        if stem in self.fails:
            raise ZeroDivisionError("as the\ntest asked")
        if stem in self.interrupts:
            raise KeyboardInterrupt
        return image[..., 0] / np.float32(255)

    def calls(self):
        with open(self.calls_path) as file:
            return [line.split()[0] for line in file]


@pytest.fixture
def manifest(tmp_path):
    """DF: a, b, c, d with a square each; VASC: e without one; NV: f with a box of a person's own."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name in "abcdef":
        pixels = np.full((30, 60, 3), 40, np.uint8)
        if name in SQUARES:
            x0, y0, x1, y1 = SQUARES[name]
            pixels[y0:y1, x0:x1, 0] = 230
        Image.fromarray(pixels).save(folder / f"{name}.png")
    Image.fromarray(np.full((30, 60), 255, np.uint8)).save(tmp_path / "mask.png")
    empty, own = np.zeros((0, 4), np.float32), np.array([[1, 2, 3.5, 4]], np.float32)
    written = Manifest(
        image_paths=tuple(str(folder / f"{name}.png") for name in "abcdef"),
        labels=np.array([0, 0, 0, 0, 2, 1]),
        class_names=("DF", "NV", "VASC"),
        boxes=(empty, empty, own, empty, own, own),
        mask_paths=("", str(tmp_path / "mask.png"), "", "", "", ""),
        groups=("g1", "g1", "", "g2", "", ""),
        splits=("train", "train", "train", "test", "train", "train"),
        folds=("1", "2", "3", "1", "1", "1"),
        box_sources=("", "hand", "hand", "", "hand", "hand"),
    )
    write_manifest(written, tmp_path / "manifest.csv")
    return read_manifest(tmp_path / "manifest.csv")


def draw_lesions(manifest):
    """Puts a dark ellipse on noisy skin in place of every square, and skin alone where there is none."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:60, :80]
    for number, path in enumerate(manifest.image_paths):
        inside = ((rows - 28) / (8 + number)) ** 2 + ((columns - 40) / 14) ** 2 < (number < len(SQUARES))
        pixels = np.where(inside[..., np.newaxis], (90, 50, 40), (220, 180, 160)) + rng.integers(-9, 10, (60, 80, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(path)


def found(made):
    """Stem -> boxes of every image that has some."""
    pairs = zip(made.manifest.image_paths, made.manifest.boxes, strict=True)
    return {os.path.basename(path)[0]: boxes.tolist() for path, boxes in pairs if len(boxes)}


def statuses(made):
    return {os.path.basename(made.manifest.image_paths[result.row])[0]: result.status for result in made.details}


def details(output, without=("seconds",)):
    with open(details_path(output), newline="") as file:
        return [{key: value for key, value in row.items() if key not in without} for row in csv.DictReader(file)]


def journal_of(output):
    return output.with_name(f".{output.name}.progress.jsonl")


# What becomes of the rows


def test_chosen_images_get_the_boxes_of_their_maps_and_no_mask(manifest, tmp_path):
    made = make_boxes(manifest, Red(tmp_path), classes=["DF"], workers=ONE_WORKER)
    assert found(made) == {
        **{name: [box] for name, box in SQUARES.items()},
        "e": [[1, 2, 3.5, 4]],
        "f": [[1, 2, 3.5, 4]],
    }
    assert made.manifest.mask_paths == ("",) * 6
    assert made.manifest.box_sources == ("red",) * 4 + ("hand",) * 2
    assert [result.row for result in made.details] == [0, 1, 2, 3]
    map_of_a = np.asarray(Image.open(manifest.image_paths[0]))[..., 0] / np.float32(255)
    assert made.details[0].doubt == box_doubt(map_of_a, [SQUARES["a"]]) < 0.3
    assert all(result.seconds > 0 for result in made.details)
    same = ("image_paths", "class_names", "groups", "splits", "folds", "source")
    assert all(getattr(made.manifest, name) == getattr(manifest, name) for name in same)
    np.testing.assert_array_equal(made.manifest.labels, manifest.labels)


def test_what_shows_nothing_is_left_without_boxes_never_with_the_whole_frame(manifest, tmp_path):
    made = make_boxes(manifest, Red(tmp_path), classes=["VASC", "NV"], workers=ONE_WORKER)
    assert statuses(made) == {"e": "no box", "f": "no box"}
    assert found(made) == {"c": [[1, 2, 3.5, 4]]}  # of DF, which was not chosen
    assert made.manifest.box_sources == ("", "hand", "hand", "", "", "")
    assert made.manifest.mask_paths == manifest.mask_paths


def test_a_method_that_raises_and_a_corrupt_file_do_not_stop_the_run(manifest, tmp_path):
    with open(manifest.image_paths[1], "r+b") as file:
        file.truncate(60)
    os.remove(manifest.image_paths[3])
    output = tmp_path / "new" / "boxes.csv"
    made = make_boxes(manifest, Red(tmp_path, fails=["c"]), classes=["DF", "VASC"], workers=ONE_WORKER, output=output)
    assert statuses(made) == {"a": "boxes", "b": "failed", "c": "failed", "d": "failed", "e": "no box"}
    assert found(made) == {"a": [SQUARES["a"]], "f": [[1, 2, 3.5, 4]]}
    rows = details(output, without=["seconds", "doubt"])
    image = {"image": "../images/a.png", "status": "boxes", "num_boxes": "1", "message": ""}
    assert rows[0] == image
    assert rows[2] == {**image, "image": "../images/c.png", "status": "failed", "num_boxes": "0"} | {
        "message": "ZeroDivisionError: as the test asked"
    }
    assert "b.png cannot be decoded" in rows[1]["message"]
    assert "d.png does not exist" in rows[3]["message"]
    assert [row["doubt"] for row in details(output)][1:] == ["", "", "", "1.0000"]
    assert (
        read_manifest(output, check_images=False).fingerprint()
        == dataclasses.replace(made.manifest, class_names=("DF", "NV", "VASC"), source=str(output)).fingerprint()
    )


def test_keeping_leaves_images_with_boxes_or_a_mask_out(manifest, tmp_path):
    method = Red(tmp_path)
    made = make_boxes(manifest, method, classes=["DF"], existing="keep", workers=ONE_WORKER)
    assert method.calls() == ["a", "d"]
    assert made.manifest.mask_paths == manifest.mask_paths
    assert found(made)["c"] == [[1, 2, 3.5, 4]]
    assert made.manifest.box_sources == ("red", "hand", "hand", "red", "hand", "hand")


def test_nothing_to_do_writes_the_same_manifest(manifest, tmp_path):
    output = tmp_path / "boxes.csv"
    made = make_boxes(manifest, Red(tmp_path), classes=["NV"], existing="keep", workers=ONE_WORKER, output=output)
    assert made.details == ()
    assert output.read_bytes() == (tmp_path / "manifest.csv").read_bytes()


@pytest.mark.parametrize(
    ("rows", "expected"),
    [({"split": "train"}, "abc"), ({"folds": [1]}, "ad"), ({"split": "train", "folds": ["1", "2"]}, "ab")],
)
def test_a_split_and_folds_choose_among_the_rows(manifest, tmp_path, rows, expected):
    method = Red(tmp_path)
    made = make_boxes(manifest, method, classes=["DF"], workers=ONE_WORKER, **rows)
    assert method.calls() == list(expected)
    assert len(made.manifest) == 6


def test_the_method_is_told_the_group_and_the_class(manifest, tmp_path):
    make_boxes(manifest, Red(tmp_path), classes=["DF", "VASC"], workers=ONE_WORKER)
    assert (tmp_path / "calls.txt").read_text() == "a g1 DF\nb g1 DF\nc  DF\nd g2 DF\ne  VASC\n"


@pytest.mark.parametrize("scale", [0.7, 1.1])
def test_boxes_are_scaled_about_their_centers_inside_the_image(manifest, tmp_path, scale):
    made = make_boxes(manifest, Red(tmp_path), BoxSettings(scale=scale), classes=["DF"], workers=ONE_WORKER)
    for name, box in SQUARES.items():
        np.testing.assert_array_equal(np.array(found(made)[name], np.float32), scale_boxes([box], scale, 60, 30))


def test_the_settings_reach_the_boxes(manifest, tmp_path):
    pixels = np.asarray(Image.open(manifest.image_paths[0])).copy()
    pixels[2:8, 40:50, 0] = 140
    Image.fromarray(pixels).save(manifest.image_paths[0])
    square, patch = SQUARES["a"], [40, 2, 50, 8]

    def boxes_of_a(**settings):
        made = make_boxes(manifest, Red(tmp_path), BoxSettings(**settings), classes=["DF"], workers=ONE_WORKER)
        return found(made)["a"]

    assert boxes_of_a() == [[4, 2, 50, 25]]
    assert boxes_of_a(threshold=0.6) == [square]
    assert boxes_of_a(boxes="largest") == [square]
    assert boxes_of_a(boxes="each") == [square, patch]
    assert boxes_of_a(boxes="each", max_boxes=1) == [square]
    assert boxes_of_a(min_area_fraction=0.1) == [square]


def test_maps_are_kept_in_the_folders_of_their_images(manifest, tmp_path):
    other = tmp_path / "more"
    other.mkdir()
    os.rename(manifest.image_paths[0], other / "b.png")
    paths = (str(other / "b.png"), *manifest.image_paths[1:])
    manifest = dataclasses.replace(manifest, image_paths=paths)
    make_boxes(manifest, Red(tmp_path), classes=["DF"], workers=ONE_WORKER, maps_folder=tmp_path / "maps")
    kept = sorted(path.relative_to(tmp_path / "maps").as_posix() for path in tmp_path.glob("maps/*/*"))
    assert kept == ["images/b.png.png", "images/c.png.png", "images/d.png.png", "more/b.png.png"]
    saved = np.asarray(Image.open(tmp_path / "maps" / "more" / "b.png.png"))
    assert saved.dtype == np.uint8
    np.testing.assert_array_equal(saved, np.asarray(Image.open(other / "b.png"))[..., 0])


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("numpy:mean", r"must return a map of the image's size \(30, 60\). Received \(\)"),
        ("numpy:transpose", r"Received \(3, 60, 30\)"),
        ("bad_maps:large", r"map must lie in \[0, 1\]. Received 0 to 2"),
        ("bad_maps:nan", r"map must lie in \[0, 1\]. Received nan to nan"),
    ],
)
def test_a_map_that_is_none_fails_the_image(manifest, tmp_path, monkeypatch, function, message):
    (tmp_path / "bad_maps.py").write_text(
        "import numpy as np\n"
        "def large(image): return np.linspace(0, 2, 1800).reshape(30, 60)\n"
        "def nan(image): return np.full((30, 60), np.nan)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    method = FunctionMethod("bad", function)
    with pytest.raises(
        InputError, match=rf"All 4 images failed, so .*boxes.csv was not written; the first: .*{message}\.$"
    ):
        make_boxes(manifest, method, classes=["DF"], workers=ONE_WORKER, output=tmp_path / "boxes.csv")
    assert [row["status"] for row in details(tmp_path / "boxes.csv")] == ["failed"] * 4
    assert not (tmp_path / "boxes.csv").exists()
    assert not journal_of(tmp_path / "boxes.csv").exists()


def test_where_every_image_fails_an_old_output_keeps_its_own_details(manifest, tmp_path):
    output = tmp_path / "boxes.csv"
    make_boxes(manifest, Red(tmp_path), classes=["DF"], workers=ONE_WORKER, output=output)
    before = output.read_bytes(), details_path(output).read_bytes()
    for path in manifest.image_paths:
        pathlib.Path(path).write_bytes(b"no image any more")
    with pytest.raises(InputError, match="All 4 images failed"):
        make_boxes(manifest, Red(tmp_path), classes=["DF"], workers=ONE_WORKER, output=output)
    assert (output.read_bytes(), details_path(output).read_bytes()) == before


# Cut short and started again


def interrupted(manifest, tmp_path, output, settings=None, **red):
    method = Red(tmp_path, **{"interrupts": ["c"], **red})
    with pytest.raises(KeyboardInterrupt):
        make_boxes(manifest, method, settings, classes=["DF", "VASC"], workers=ONE_WORKER, output=output)
    assert not output.exists()
    (tmp_path / "calls.txt").unlink()


def test_the_same_call_goes_on_where_it_stopped(manifest, tmp_path, capsys):
    output, whole = tmp_path / "boxes.csv", tmp_path / "whole.csv"
    make_boxes(manifest, Red(tmp_path), classes=["DF", "VASC"], workers=ONE_WORKER, output=whole)
    interrupted(manifest, tmp_path, output)
    assert len(journal_of(output).read_text().splitlines()) == 3  # the settings, a and b
    method = Red(tmp_path)
    made = make_boxes(manifest, method, classes=["DF", "VASC"], workers=ONE_WORKER, output=output)
    assert method.calls() == ["c", "d", "e"]
    assert made.num_resumed == 2
    assert output.read_bytes() == whole.read_bytes()
    assert details(output) == details(whole)
    assert sorted(path.name for path in tmp_path.glob(".*")) == []
    assert "anew" not in capsys.readouterr().err


def test_what_failed_is_tried_again(manifest, tmp_path):
    output, method = tmp_path / "boxes.csv", Red(tmp_path)
    interrupted(manifest, tmp_path, output, fails=["a"])
    made = make_boxes(manifest, method, classes=["DF"], workers=ONE_WORKER, output=output)
    assert method.calls() == ["a", "c", "d"]
    assert made.rows("failed") == []


@pytest.mark.parametrize(
    ("change", "calls"),
    [
        ("nothing", ["c", "d"]),
        ("classes", ["c", "d", "f"]),  # more of them take over what is finished
        ("file", ["b", "c", "d"]),
        ("group", ["a", "c", "d"]),
        ("label", ["a", "c", "d", "f"]),
        ("maps", ["a", "b", "c", "d"]),  # asked for later, they are made
    ],
)
def test_only_what_changed_in_between_is_done_again(manifest, tmp_path, change, calls):
    output, method = tmp_path / "boxes.csv", Red(tmp_path)
    interrupted(manifest, tmp_path, output)
    if change == "file":
        os.utime(manifest.image_paths[1], ns=(1, 1))
    if change == "group":
        manifest = dataclasses.replace(manifest, groups=("g9", *manifest.groups[1:]))
    if change == "label":
        manifest = dataclasses.replace(manifest, labels=np.array([1, *manifest.labels[1:]]))
    make_boxes(
        manifest,
        method,
        classes=["NV", "DF"] if change in ("classes", "label") else ["DF"],
        workers=ONE_WORKER,
        output=output,
        maps_folder=tmp_path / "maps" if change == "maps" else None,
    )
    assert method.calls() == calls


@pytest.mark.parametrize(
    ("settings", "method_settings", "change"),
    [
        (BoxSettings(threshold=0.4), {}, "box_settings.threshold: 0.5 -> 0.4"),
        (BoxSettings(), {"stage": 2}, "method_settings.stage: None -> 2"),
    ],
)
def test_other_settings_start_anew_and_say_so(manifest, tmp_path, capsys, settings, method_settings, change):
    output, method = tmp_path / "boxes.csv", Red(tmp_path, method_settings)
    interrupted(manifest, tmp_path, output)
    made = make_boxes(manifest, method, settings, classes=["DF"], workers=ONE_WORKER, output=output)
    assert method.calls() == ["a", "b", "c", "d"]
    assert made.num_resumed == 0
    assert f"starting anew, since settings have changed: {change}\n" in capsys.readouterr().err


def test_boxes_of_an_image_do_not_depend_on_whether_tensorflow_is_installed(manifest, tmp_path):
    output = tmp_path / "boxes.csv"
    interrupted(manifest, tmp_path, output)
    assert list(json.loads(journal_of(output).read_text().splitlines()[0])["packages"]) == [
        *("numpy", "opencv-python-headless", "scikit-image")
    ]


def test_only_one_run_at_a_time_may_have_an_output(manifest, tmp_path):
    output = tmp_path / "boxes.csv"
    with ProgressJournal(output, {}), pytest.raises(InputError, match=r"Another run is at work on .*boxes\.csv"):
        make_boxes(manifest, Red(tmp_path), classes=["DF"], workers=ONE_WORKER, output=output)


# Whoever does the work


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "package"), [("local", "concurrent"), ("dask", "distributed"), ("ray", "ray")])
def test_processes_and_clusters_give_the_same_bytes(manifest, tmp_path, backend, package):
    pytest.importorskip(package)
    method = FunctionMethod("bms", "care_tf.boxes.saliency._bms:bms_saliency")
    draw_lesions(manifest)
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    for output, workers in ((one, ONE_WORKER), (two, Workers(backend, num_workers=2))):
        make_boxes(manifest, method, classes=["DF", "VASC"], workers=workers, output=output)
    assert one.read_bytes() == two.read_bytes()
    assert details(one) == details(two)
    assert [row["status"] for row in details(one)][:4] == ["boxes"] * 4


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "package"), [("local", "concurrent"), ("dask", "distributed"), ("ray", "ray")])
def test_an_image_that_kills_its_worker_has_failed_and_the_others_have_not(
    manifest, tmp_path, monkeypatch, backend, package
):
    pytest.importorskip(package)
    (tmp_path / "deadly.py").write_text(
        "import os, signal\n"
        "def red_or_death(image):\n"
        "    if image[10, 10, 0] > 200 and image[10, 6, 0] < 200: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return image[..., 0] / 255\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))  # where Ray's workers look
    method = FunctionMethod("deadly", "deadly:red_or_death")  # image b: its square starts between the two pixels
    made = make_boxes(manifest, method, classes=["DF", "VASC"], workers=Workers(backend, num_workers=2))
    assert statuses(made) == {"a": "boxes", "b": "failed", "c": "boxes", "d": "boxes", "e": "no box"}
    assert "its worker process died twice" in made.details[1].message


# Refusals


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": ["DF", "DX"]}, "classes must be some of DF, NV, VASC. Received DX"),
        ({"classes": []}, r"classes must be some of DF, NV, VASC. Received \[\]"),
        ({"classes": "DF"}, "classes must be some of DF, NV, VASC. Received 'DF'"),
        ({"classes": ["DF"], "split": "valid"}, "has no split valid; it has test, train"),
        ({"classes": ["DF"], "folds": [7]}, "has no fold 7; it has 1, 2, 3"),
        ({"classes": ["NV"], "split": "test"}, "No image of NV is in split test"),
        ({"classes": ["DF"], "existing": "merge"}, 'existing must be "replace" or "keep". Received \'merge\''),
    ],
)
def test_rows_that_are_not_there_are_refused(manifest, tmp_path, arguments, message):
    with pytest.raises(InputError, match=message):
        make_boxes(manifest, Red(tmp_path), workers=ONE_WORKER, **arguments)


@pytest.mark.parametrize("kind", ["itself", "symlink", "hard link", "other spelling"])
def test_the_input_is_never_the_output(manifest, tmp_path, kind):
    source, output = tmp_path / "manifest.csv", tmp_path / "link.csv"
    before = source.read_bytes()
    if kind == "symlink":
        output.symlink_to(source)
    elif kind == "hard link":
        os.link(source, output)
    else:
        output = source if kind == "itself" else tmp_path / "images" / ".." / "manifest.csv"
    with pytest.raises(InputError, match="must not replace the one it is made from"):
        make_boxes(manifest, Red(tmp_path), classes=["DF"], workers=ONE_WORKER, output=output)
    assert source.read_bytes() == before


def test_the_details_do_not_replace_the_input_either(manifest, tmp_path):
    source = tmp_path / "boxes.details.csv"
    os.rename(tmp_path / "manifest.csv", source)
    before = source.read_bytes()
    with pytest.raises(InputError, match="boxes.details.csv must not replace the one it is made from"):
        moved = dataclasses.replace(manifest, source=str(source))
        make_boxes(moved, Red(tmp_path), classes=["DF"], workers=ONE_WORKER, output=tmp_path / "boxes.csv")
    assert source.read_bytes() == before


def test_an_output_that_is_no_csv_file_is_refused(manifest, tmp_path):
    for output, message in ((tmp_path / "images", "images is a folder; name"), (tmp_path / "boxes", "is a .csv file")):
        with pytest.raises(InputError, match=message):
            make_boxes(manifest, Red(tmp_path), classes=["DF"], workers=ONE_WORKER, output=output)


def test_a_method_that_cannot_be_sent_to_workers_is_refused(manifest, tmp_path):
    method = Red(tmp_path)
    method.network = lambda image: image
    with pytest.raises(InputError, match="The method red must be picklable"):
        make_boxes(manifest, method, classes=["DF"], workers=ONE_WORKER)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threshold": 0.0}, r"threshold must lie in \(0, 1\).*Received 0.0"),
        ({"threshold": 1.0}, r"threshold must lie in \(0, 1\)"),
        ({"threshold": float("nan")}, r"threshold must lie in \(0, 1\)"),
        ({"threshold": "half"}, "or one of otsu, adaptive. Received 'half'"),
        ({"min_area_fraction": 1.0}, r"min_area_fraction must lie in \[0, 1\). Received 1.0"),
        ({"min_area_fraction": -0.1}, "min_area_fraction"),
        ({"boxes": "all"}, "boxes must be one of one, largest, each. Received 'all'"),
        ({"max_boxes": 2}, 'goes with boxes "each". Received 2 with one'),
        ({"boxes": "each", "max_boxes": 0}, "max_boxes must be at least 1"),
        ({"scale": 0.69}, "scale must lie between 0.7 and 1.1. Received 0.69"),
        ({"scale": 1.11}, "scale must lie between 0.7 and 1.1"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        BoxSettings(**settings)


def test_results_read_back_from_the_journal_are_the_same_numbers(manifest, tmp_path):
    output = tmp_path / "boxes.csv"
    settings = BoxSettings(scale=0.9)
    interrupted(manifest, tmp_path, output, settings, interrupts=["d"])
    entries = [json.loads(line) for line in journal_of(output).read_text().splitlines()[1:]]
    whole = make_boxes(manifest, Red(tmp_path), settings, classes=["DF"], workers=ONE_WORKER)
    for entry, result in zip(entries, whole.details[:3], strict=True):
        assert (entry["boxes"], entry["doubt"]) == (result.boxes, result.doubt)
        assert pickle.loads(pickle.dumps(result)) == result


def test_pngs_of_12_bits_are_read_by_their_range_when_asked_and_noted_otherwise(tmp_path):
    numbers = np.full((30, 60), 100, np.uint16)
    numbers[5:25, 4:24] = 4000
    Image.fromarray(numbers).save(tmp_path / "a.png")
    rows = Manifest((str(tmp_path / "a.png"),), np.array([0]), ("DF", "NV"), source=str(tmp_path / "manifest.csv"))
    asked = dataclasses.replace(rows, max_pixel_value=4095)
    found = []
    for number, given in enumerate((rows, asked, asked)):
        output = tmp_path / f"{number % 2}.csv"
        made = make_boxes(given, Red(tmp_path), classes=["DF"], workers=ONE_WORKER, output=output)
        found.append((made.details[0].status, made.details[0].message, made.manifest.boxes[0].tolist()))
    assert found[1] == found[2] == ("boxes", "", [[4, 5, 24, 25]])
    assert found[0][0] == "no box" and "the largest value in this 16-bit PNG is 4000 of 65535" in found[0][1]


@pytest.mark.parametrize(("trained", "fix"), [(4095, "Give --max-pixel-value 4095"), (None, "Leave --max-pixel-value")])
def test_images_read_otherwise_than_a_network_was_trained_are_refused(manifest, tmp_path, trained, fix):
    method = Red(tmp_path)
    method.max_pixel_value = trained
    rows = dataclasses.replace(manifest, max_pixel_value=None if trained else 4095)
    with pytest.raises(InputError, match=f"with max_pixel_value {trained}. Received {rows.max_pixel_value} for.*{fix}"):
        make_boxes(rows, method, classes=["DF"], workers=ONE_WORKER)
    assert make_boxes(
        dataclasses.replace(manifest, max_pixel_value=trained), method, classes=["DF"], workers=ONE_WORKER
    ).rows("boxes")
