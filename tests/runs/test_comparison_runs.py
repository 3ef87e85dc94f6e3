"""A comparison of methods from the configurations to the tables, interrupted on the way."""

import dataclasses
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from eager_steps import eager_steps
from PIL import Image

from care_tf import run_files
from care_tf.data import read_manifest, stratified_group_folds, write_manifest
from care_tf.errors import InputError
from care_tf.evaluation import flip_rate
from care_tf.evaluation.lesion_figures import LESION_COLUMNS
from care_tf.evaluation.map_tiles import map_tile
from care_tf.runs import _cell_training as cell_training
from care_tf.runs import comparison_plan, run_maps
from care_tf.runs import comparison_runs as comparison
from care_tf.runs._folder import write_config
from care_tf.runs._progress import Progress
from care_tf.runs._run_predictions import Predictions, write_predictions
from care_tf.runs.earlier_runs import earlier_runs
from care_tf.runs.image_groups import read_image_groups


@pytest.fixture(scope="module")
def manifest(data, tmp_path_factory):
    """The drawn lesions dealt into three folds."""
    rows = read_manifest(data)
    folds = tuple(map(str, stratified_group_folds(rows.labels, rows.groups, 3)))
    path = tmp_path_factory.mktemp("folds") / "manifest.csv"
    write_manifest(dataclasses.replace(rows, folds=folds), path)
    return path


@pytest.fixture
def configs(manifest, tmp_path):
    base = {
        "data": {
            "manifest": str(manifest),
            "train": {"folds": [1, 2]},
            "test": {"folds": [3]},
            "image_size_px": 32,
            "cache": "memory",
        },
        "model": {"backbone": "tiny_network:build"},
        "training": {"batch_size": 32, "optimizer": "SGD"},  # a third less to trace than with AdamW
        "stages": {"pretrain": {"epochs": 1}, "finetune": {"epochs": 1}},
        "every_stage": {"learning_rate": 0.05},
    }
    care = {
        "extends": "plain.yaml",
        "title": "CARE",
        "baseline": "plain",
        "stages": {"finetune": {"epochs": 1, "alpha": 0.5}},
    }
    balanced = {"epochs": 1, "class_weight": "balanced"}
    weighted = {"extends": "plain.yaml", "baseline": "plain", "stages": {"finetune": balanced}}
    for name, content in {"plain": base, "care": care, "weighted": weighted}.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return [tmp_path / f"{name}.yaml" for name in ("plain", "care", "weighted")]


def test_cells_share_first_stages_and_leave_the_tested_fold_out(configs, tmp_path):
    methods = comparison_plan.read_methods(configs)
    cells = comparison_plan.plan_cells(methods, ["1", "3"], [0, 5], tmp_path / "out")
    order = [(cell.method, cell.fold, cell.config.seed) for cell in cells[:4]]
    assert order == [("plain", "1", 0), ("care", "1", 0), ("weighted", "1", 0), ("plain", "1", 5)]
    assert len(cells) == 12 and len({cell.folder for cell in cells}) == 12
    for cell in cells:
        assert cell.fold not in cell.config.data.train.folds and cell.config.data.test.folds == (cell.fold,)
        first, last = cell.config.stages
        own = tmp_path / "out" / "cells" / "plain" / cell.folder.name  # of the same fold and seed
        assert first.reuse == (None if cell.method == "plain" else str(own)) and last.reuse is None
    assert {len(cell.fingerprints) for cell in cells} == {2}


@pytest.mark.parametrize("trained_first", ["plain", "care"])
def test_a_plan_made_again_keeps_the_origin_of_each_stage(configs, tmp_path, monkeypatch, trained_first):
    """Also where the method that comes first in the plan was added later, and took a stage over."""
    methods = comparison_plan.read_methods(configs[:2])
    finished = {}
    monkeypatch.setattr(comparison_plan, "finished_stages", lambda folder: finished.get(folder, []))
    for names in ([trained_first], methods):  # the second finishes its first stage, and is stopped
        cells = comparison_plan.plan_cells({name: methods[name] for name in names}, ["1"], [0], tmp_path)
        for cell in cells:
            if cell.folder not in finished:
                cell.folder.mkdir(parents=True)
                write_config(cell.folder, cell.config)
            finished[cell.folder] = [cell.fingerprints[0]]
    origin = tmp_path / "cells" / trained_first / "fold1_seed0"
    for cell in comparison_plan.plan_cells(methods, ["1"], [0], tmp_path):
        assert cell.config.stages[0].reuse == (None if cell.folder == origin else str(origin))


def checked_maps(monkeypatch):
    """Compares every map drawn, and the share said below it, with those of the image read by itself."""
    real, drawn = run_maps._map_column, []

    def map_column(run, rows, images, masks):
        tiles = []
        monkeypatch.setattr(run_maps, "map_tile", lambda *given: tiles.append(given) or map_tile(*given))
        column = real(run, rows, images, masks)
        pixels = []
        for path in rows.image_paths:
            with Image.open(path) as image:  # as large as the network's input
                pixels += [np.asarray(image.convert("RGB"), np.float32)] * 4
        maps = run.care_model.attention_map(run.preprocess(np.array(pixels)), list(range(4)) * len(rows))
        for row, (tile, (_, attention, *_)) in enumerate(zip(column, tiles, strict=True)):
            each = maps[4 * row : 4 * row + 4]
            np.testing.assert_allclose(attention, each[rows.labels[row]], atol=1e-4)
            assert all(np.abs(attention - each[c]).max() > 1e-3 for c in range(4) if c != rows.labels[row])
            large = Image.fromarray(attention).resize((32, 32), Image.Resampling.BILINEAR)
            x0, y0, x1, y1 = np.asarray(rows.boxes[row][0]).round().astype(int)
            energy = np.asarray(large)
            inside = energy[y0:y1, x0:x1].sum() / energy.sum()
            assert float(re.search(r"(\d+)\D*% inside", tile.caption)[1]) == pytest.approx(100 * inside, abs=0.6)
            drawn.append(run.folder.name)
        return column

    monkeypatch.setattr(run_maps, "_map_column", map_column)
    return drawn


def guess(cell):
    """Leaves a finished cell with predictions drawn at random."""
    rows = read_manifest(cell.config.data.manifest)
    rows = rows.subset([index for index, fold in enumerate(rows.folds) if fold == cell.fold])
    random = np.random.default_rng(cell.method == "care")
    probabilities = random.dirichlet(np.ones(4), len(rows)).astype(np.float32)
    finish(cell)
    unknown = np.full(len(rows), np.nan, np.float32)
    write_predictions(cell.folder, rows, Predictions(probabilities, unknown, np.zeros(len(rows), bool)))


def assert_older_predictions_are_read(path, plan):
    """As they were before lesions were hidden."""
    kept = path.read_bytes()
    table = pd.read_csv(path)
    assert table[list(LESION_COLUMNS)].notna().any().all()  # insertion and deletion, too
    table.drop(columns=list(LESION_COLUMNS)).to_csv(path, index=False)
    assert [bool(cell.lesion_check) for cell in comparison.read_cells(plan())] == [False, True]
    path.write_bytes(kept)


@pytest.mark.slow
def test_an_interrupted_comparison_goes_on_and_writes_its_tables(configs, tmp_path, capsys, monkeypatch):
    plain = yaml.safe_load(configs[0].read_text())
    del plain["stages"]["finetune"]  # the baseline is what the others share: a stage less to trace
    configs[0].write_text(yaml.safe_dump(plain, sort_keys=False))
    methods = comparison_plan.read_methods(configs[:2])
    output = tmp_path / "out"

    def plan(folds=("1",)):
        return comparison_plan.plan_cells(methods, list(folds), [0], output)

    real, calls = cell_training.train_run, []

    def stops_at_the_second(config, **kwargs):
        calls.append(config.output)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(config, **kwargs)

    monkeypatch.setattr(cell_training, "train_run", stops_at_the_second)
    with eager_steps(), pytest.raises(KeyboardInterrupt):
        comparison.run_cells(plan(), show_epochs=False)
    assert [cell.is_finished for cell in plan()] == [True, False]
    comparison.run_cells(plan(), show_epochs=False)
    assert len(calls) == 2 + 1 and len(set(calls)) == 2  # the finished one was not trained again
    printed = capsys.readouterr().out
    assert "2 runs: 1 finished, 1 to go" in printed and "left" in printed

    for cell in plan("2"):
        guess(cell)
    text = comparison.write_tables(methods, plan("12"), output, num_resamples=20)
    assert "CARE" in text and "4 of 4 planned runs are finished. Folds tested on: 1, 2. Seeds: 0." in text
    table = pd.read_csv(output / "comparison.csv")
    cells = pd.read_csv(output / "cells.csv", dtype={"fold": str})
    own = cells[(cells.method == "care") & (cells.figure == "mean_class_accuracy")]
    row = table[(table.method == "care") & (table.figure == "mean_class_accuracy")].iloc[0]
    assert row["value"] == pytest.approx(own["value"].mean()) and row["num_cells"] == 2 and row["baseline"] == "plain"
    reliance = table[(table.method == "care") & (table.figure == "lesion_reliance/dermatofibroma")].iloc[0]
    assert -1 <= reliance["value"] <= 1 and reliance["num_cells"] == 1 and not np.isnan(reliance["difference"])
    assert "dermatofibroma lesion reliance" in (output / "comparison.md").read_text()
    assert {path.name for path in output.iterdir()} == {
        "cells", "cells.csv", "comparison.csv", "comparison.md", "comparison.png"
    }  # fmt: skip
    assert_older_predictions_are_read(plan()[0].folder / "predictions.csv", plan)

    # A later comparison in the same folder takes over what these have finished.
    later = comparison_plan.plan_cells(comparison_plan.read_methods([configs[2]]), ["1"], [0], output)[0]
    assert later.config.stages[0].reuse == str(output / "cells" / "plain" / "fold1_seed0")
    assert later.config.stages[1].reuse is None

    drawn = checked_maps(monkeypatch)
    shown = run_maps.write_run_maps([cell.folder for cell in plan()], tmp_path / "maps.png", num_images=2)
    assert drawn == ["fold1_seed0"] * 4 and shown.has_boxes.all()
    assert len(shown) == 2 and {shown.class_names[label] for label in shown.labels} == {"dermatofibroma"}
    with Image.open(tmp_path / "maps.png") as image:
        assert image.width > image.height  # three columns, two rows
    name = Path(shown.image_paths[1]).stem
    assert run_maps._chosen(shown, [f"{name}.jpg"], 6).image_paths == shown.image_paths[1:]
    with pytest.raises(InputError, match=f"'{name}x' is not among .*Did you mean '{name}'"):
        run_maps.write_run_maps([plan()[0].folder], tmp_path / "none.png", [f"{name}x"])
    padded = shutil.copytree(plan()[0].folder, tmp_path / "padded") / "config.yaml"
    padded.write_text(padded.read_text().replace("resize: stretch", "resize: pad"))
    with pytest.raises(
        InputError, match="in one frame.* Received stretched images in .* and images padded to 32 x 32 px"
    ):
        run_maps.write_run_maps([plan()[0].folder, padded.parent], tmp_path / "none.png")

    # A cell is an ordinary run: trained alone, without what it shared, it says the same.
    cell = plan()[1]
    alone = cell.config.model_copy(
        update={
            "output": str(tmp_path / "alone"),
            "stages": tuple(dataclasses.replace(stage, reuse=None) for stage in cell.config.stages),
        }
    )
    with eager_steps():
        real(alone, show_progress=False)
    cell_training.predict_cell(dataclasses.replace(cell, config=alone))  # evaluate_run would write a report, too
    both = [pd.read_csv(folder / "predictions.csv") for folder in (cell.folder, tmp_path / "alone")]
    names = list(cell.config.data.class_names)
    np.testing.assert_allclose(both[0][names], both[1][names], atol=1e-4)


def test_settings_vary_where_they_change_something_and_pair_with_the_same_variant(configs):
    varied = {"training.batch_size": ["8", "16"], "care.tau": [".2", ".7"]}
    methods = comparison_plan.read_methods(configs[:2], varied=varied)
    assert list(methods) == [
        "plain@batch_size=8", "plain@batch_size=16",
        "care@batch_size=8,tau=.2", "care@batch_size=8,tau=.7",
        "care@batch_size=16,tau=.2", "care@batch_size=16,tau=.7",
    ]  # fmt: skip
    last = methods["care@batch_size=16,tau=.7"]
    assert (last.training.batch_size, last.care.tau, last.title) == (16, 0.7, "CARE, batch_size=16, tau=.7")
    assert (
        last.baseline == "plain@batch_size=16" and methods["care@batch_size=8,tau=.2"].baseline == "plain@batch_size=8"
    )


def test_variants_of_keys_with_one_ending_have_baselines_of_their_own(configs):
    varied = {"stages.pretrain.epochs": ["1", "2"], "stages.finetune.epochs": ["1", "2"]}
    methods = comparison_plan.read_methods(configs[:2], varied=varied)
    assert len(methods) == 8
    variant = methods["care@pretrain.epochs=2,finetune.epochs=1"]
    assert [stage.epochs for stage in variant.stages] == [2, 1]
    assert {name: c.baseline for name, c in methods.items() if c.baseline} == {
        name: name.replace("care", "plain") for name in methods if name.startswith("care")
    }


def test_how_attention_is_measured_varies_the_baseline_too(configs):
    methods = comparison_plan.read_methods(configs[:2], varied={"care.cam": ["gradcam", "layercam"]})
    assert methods["care@cam=layercam"].baseline == "plain@cam=layercam"


@pytest.mark.parametrize("key", ["stages.finetune.alpha", "every_stage.alpha", "care.tau", "data.train_box_scale"])
def test_a_method_without_attention_has_no_variants_of_it(configs, key):
    methods = comparison_plan.read_methods(configs[:2], varied={key: [".5", "1"]})
    name = key.rpartition(".")[2]
    assert list(methods) == ["plain", f"care@{name}=.5", f"care@{name}=1"]
    assert {methods[method].baseline for method in list(methods)[1:]} == {"plain"}
    with pytest.raises(InputError, match=f"Received {key}, and alpha is 0 in plain, wei"):
        comparison_plan.read_methods([configs[0], configs[2]], varied={key: [".5", "1"]})


def test_equal_numbers_give_a_variant_one_name(configs):
    for value in ("0.50", ".5", "5.0e-1"):
        assert list(comparison_plan.read_methods(configs[1:2], varied={"care.tau": [value]})) == ["care@tau=.5"]
    with pytest.raises(InputError, match="two are called 'care@lam=1'"):
        comparison_plan.read_methods(configs[1:2], varied={"care.lam": ["1", "1.0"]})


@pytest.mark.filterwarnings("ignore:data.outside_boxes=paint makes")
def test_images_changed_by_boxes_are_trained_on_from_the_first_stage(configs, manifest, tmp_path):
    rows = read_manifest(manifest)
    boxes = [np.array([[4, 4, 20, 24]])] * len(rows)
    write_manifest(dataclasses.replace(rows, boxes=boxes), tmp_path / "boxed.csv")

    def plan(*changes):
        changes = [f"data.manifest={tmp_path / 'boxed.csv'}", *changes]
        methods = comparison_plan.read_methods(configs[:2], changes, {"data.outside_boxes": ["keep", "paint"]})
        return methods, {cell.method: cell for cell in comparison_plan.plan_cells(methods, ["1"], [0], tmp_path)}

    methods, cells = plan()
    assert cells["care@outside_boxes=keep"].config.stages[0].reuse == cells["plain@outside_boxes=keep"].config.output
    assert cells["plain@outside_boxes=paint"].config.stages[0].reuse is None
    assert cells["care@outside_boxes=paint"].config.stages[0].reuse == cells["plain@outside_boxes=paint"].config.output
    everywhere = plan("data.outside_boxes_in=everywhere")[1]
    for name, cell in cells.items():
        assert cell.fingerprints == everywhere[name].fingerprints  # the training is the same
        is_same = cell.prediction_fingerprint == everywhere[name].prediction_fingerprint
        assert is_same == name.endswith("keep")
    note = "plain, outside_boxes=paint, CARE, outside_boxes=paint: Training images with boxes are painted gray outside"
    assert note in comparison.comparison_notes(methods, list(cells.values()))


def test_boxes_vary_in_the_variants_whose_images_they_change(configs):
    varied = {"data.outside_boxes": ["keep", "crop"], "data.train_box_share": [".1", "1"]}
    methods = comparison_plan.read_methods(configs[:1], varied=varied)
    assert list(methods) == [
        "plain@outside_boxes=keep", "plain@outside_boxes=crop,train_box_share=.1",
        "plain@outside_boxes=crop,train_box_share=1",
    ]  # fmt: skip
    assert methods["plain@outside_boxes=keep"].data.train_box_share == 1
    assert methods["plain@outside_boxes=keep"].title == "plain, outside_boxes=keep"


def test_attention_varies_in_the_variants_that_have_it(configs):
    varied = {"stages.finetune.alpha": ["0", ".5"], "care.tau": [".2", ".7"]}
    methods = comparison_plan.read_methods(configs[:2], varied=varied)
    assert list(methods) == ["plain", "care@alpha=0", "care@alpha=.5,tau=.2", "care@alpha=.5,tau=.7"]


@pytest.mark.filterwarnings("ignore:data.outside_boxes=crop changes training images")
def test_methods_that_crop_by_the_boxes_of_all_classes_do_not_bring_these_into_focus(configs, tmp_path):
    classes = ["dermatofibroma", "nevus"]
    crop = {"extends": "plain.yaml", "data": {"mask_classes": classes, "outside_boxes": "crop"}}
    (tmp_path / "crop.yaml").write_text(yaml.safe_dump(crop))
    plain = yaml.safe_load(configs[0].read_text())
    plain["data"]["mask_classes"] = classes[:1]
    configs[0].write_text(yaml.safe_dump(plain))
    methods = comparison_plan.read_methods([tmp_path / "crop.yaml", *configs[:2]])
    cells = comparison_plan.plan_cells(methods, ["1"], [0], tmp_path / "out")
    assert comparison.classes_compared(cells) == classes[:1]
    assert comparison.classes_compared(cells[:1]) == classes


@pytest.mark.filterwarnings("ignore:data.outside_boxes")
def test_boxes_vary_without_attention_where_they_change_images(configs):
    places = {"data.train_box_place": ["given", "random"]}
    assert len(comparison_plan.read_methods(configs[:1], ["data.outside_boxes=paint"], places)) == 2
    with pytest.raises(InputError, match=r"Received data.train_box_place, and alpha is 0 in plain"):
        comparison_plan.read_methods(configs[:1], varied=places)


def test_groups_of_images_are_those_of_the_manifest(configs, tmp_path, manifest):
    path = manifest.parent / "cues.csv"
    table = pd.read_csv(manifest, dtype=str, keep_default_na=False)
    table["cue"], table["pair"] = ["frame" if row % 2 else "none" for row in range(len(table))], ""
    twins = [own.index for _, own in table.groupby("group") if len(own) > 1]
    for number, (first, second, *_) in enumerate(twins):
        table.loc[[first, second], ["cue", "pair"]] = [["frame", f"p{number}"], ["none", f"p{number}"]]
    table.to_csv(path, index=False)

    def plan(file=path):
        methods = comparison_plan.read_methods(configs[:2], [f"data.manifest={file}"])
        return methods, comparison_plan.plan_cells(methods, ["1"], [0], tmp_path / "out")

    methods, cells = plan()
    rows = comparison_plan.select_rows(read_manifest(path, inputs=["cue", "pair"]), cells[0].config.data.test, "test")
    assert any(rows.inputs["pair"])
    for cell in cells:
        finish(cell)
        rng = np.random.default_rng(len(cell.method))
        said = Predictions(rng.dirichlet(np.ones(4), len(rows)), np.full(len(rows), np.nan), np.zeros(len(rows), bool))
        write_predictions(cell.folder, rows, said)
    groups = read_image_groups(cells, "cue", "pair")
    (tmp_path / "tables").mkdir()
    text = comparison.write_tables(methods, cells, tmp_path / "tables", 20, groups)
    assert "Lowest recall of a class in a group" in text and "Pairs whose call changes" in text
    figures = pd.read_csv(tmp_path / "tables" / "comparison.csv").set_index(["method", "figure"])
    own, other = read_cells_of(cells)
    rates = [flip_rate(p, rows.inputs["pair"], rows.inputs["cue"], num_resamples=1).value for p in (own, other)]
    assert figures.loc[("plain", "flip_rate"), "value"] == pytest.approx(rates[0])
    assert figures.loc[("care", "flip_rate"), "difference"] == pytest.approx(rates[1] - rates[0])
    assert "Lowest recall" not in comparison.write_tables(methods, cells, tmp_path / "tables", 20)

    assert read_image_groups(cells, None) is None
    with pytest.raises(InputError, match="color"):
        read_image_groups(cells, "color")
    with pytest.raises(InputError, match="Received the pairs pair and no group"):
        read_image_groups(cells, None, "pair")
    with pytest.raises(InputError, match="must be in its manifest. Received gone.png, which is no longer in it."):
        groups.groups_of(["gone.png"])
    table.assign(pair="").to_csv(path, index=False)
    with pytest.raises(InputError, match="Received none in the column pair of the images tested"):
        read_image_groups(cells, "cue", "pair")
    table.assign(cue="").to_csv(path, index=False)
    with pytest.raises(InputError, match="must name a group for each of"):
        read_image_groups(cells, "cue")


def read_cells_of(cells):
    """The probabilities of each cell, images in the order of its predictions."""
    return [cell.probabilities for cell in comparison.read_cells(cells)]


def test_notes_tell_which_runs_are_older_than_the_check_of_lesions(configs, tmp_path, manifest):
    methods = comparison_plan.read_methods(configs)
    cells = comparison_plan.plan_cells(methods, ["1"], [0], tmp_path / "out")
    rows = read_manifest(manifest)
    nothing, can_be = np.full(len(rows), np.nan, np.float32), np.ones(len(rows), bool)
    inside, checked = nothing.copy(), {name: nothing for name in LESION_COLUMNS}
    inside[0] = 0.5
    cases = [(inside, {}), (inside, checked), (nothing, {})]  # older, checked, without boxes
    for cell, (share, columns) in zip(cells, cases, strict=True):
        finish(cell)
        write_predictions(cell.folder, rows, Predictions(np.full((len(rows), 4), 0.25), share, can_be, columns))
    notes = comparison.comparison_notes(methods, cells)
    assert f"1 of the finished runs, such as {cells[0].folder}. `care evaluate FOLDER` predicts a run again" in notes
    assert "before lesions were checked" not in comparison.comparison_notes(methods, cells[1:])


def test_notes_tell_who_made_the_training_boxes(configs, tmp_path, manifest):
    rows = read_manifest(manifest)
    has_boxes, rarest = rows.has_boxes, rows.class_names.index("dermatofibroma")
    chosen = [i for i in range(len(rows)) if has_boxes[i] and rows.labels[i] == rarest]
    sources = tuple(("dsr+corrected" if i == chosen[0] else "dsr") if has_boxes[i] else "" for i in range(len(rows)))
    write_manifest(dataclasses.replace(rows, box_sources=sources), tmp_path / "dsr.csv")
    boxes = [f"data.train_boxes={tmp_path / 'dsr.csv'}", "data.mask_classes=[dermatofibroma]"]
    methods = comparison_plan.read_methods(configs[1:2], boxes) | comparison_plan.read_methods(configs[:1])
    made = f"dsr ({len(chosen) - 1} images in the file), dsr+corrected (1 images in the file)"
    note = f"Training boxes of dermatofibroma from {tmp_path / 'dsr.csv'}, made by {made}: CARE."
    assert note in comparison.comparison_notes(methods, comparison_plan.plan_cells(methods, ["1"], [0], tmp_path))
    assert "Training boxes" not in comparison.comparison_notes(
        {"plain": methods["plain"]}, comparison_plan.plan_cells({"plain": methods["plain"]}, ["1"], [0], tmp_path)
    )


def test_two_variants_of_one_name_are_refused(configs):
    varied = {"data.train_boxes": ["a/boxes.csv", "b/boxes.csv"]}
    with pytest.raises(InputError, match="two are called 'care@train_boxes=boxes'"):
        comparison_plan.read_methods(configs[:2], varied=varied)


def finish(cell):
    """Leaves what `run_cells` leaves of a finished cell, as far as later comparisons look at it."""
    write_config(cell.folder, cell.config)
    (cell.folder / run_files.CELL_RECORD).write_text(cell.prediction_fingerprint)
    write_images(cell)


def write_images(cell):
    """Leaves predictions.csv with nothing but the images that the cell is tested on."""
    data = cell.config.data
    tested = comparison_plan.select_rows(read_manifest(data.manifest), data.test, "data.test")
    pd.DataFrame({"image": tested.image_names}).to_csv(cell.folder / run_files.PREDICTIONS, index=False)


def finished(paths, output, folds, changes=()):
    cells = comparison_plan.plan_cells(comparison_plan.read_methods(paths, changes), folds, [0], output)
    for cell in cells:
        finish(cell)
    return cells


def earlier(paths, output, folds, changes=(), **options):
    methods = comparison_plan.read_methods(paths, changes)
    return earlier_runs(output, methods, comparison_plan.plan_cells(methods, folds, [0], output), **options)


def test_finished_runs_of_an_earlier_comparison_are_added(configs, tmp_path, manifest):
    output = tmp_path / "out"
    finished(configs[:2], output, ["1"])
    methods, added = earlier(configs[1:], output, ["1"])
    assert list(methods) == ["plain"] and [str(cell) for cell in added] == ["plain, fold 1, seed 0"]
    assert added[0].is_finished and added[0].folder == output / "cells" / "plain" / "fold1_seed0"
    assert earlier(configs[1:], output, ["1"], with_others=False) == ({}, [])
    other = manifest.parent / "other.csv"
    other.write_bytes(manifest.read_bytes())
    with pytest.raises(InputError, match="holds a comparison on other images"):
        earlier(configs[:1], output, ["2"], [f"data.manifest={other}"])


def test_a_method_has_the_same_settings_on_every_fold(configs, tmp_path):
    output = tmp_path / "out"
    finished(configs[:2], output, ["1"])
    for changes in (["title=other", "data.cache=null"], ["care.tau=.2"]):  # plain has no attention
        assert len(earlier(configs[:1], output, ["2"], changes, with_others=False)[1]) == 1
    for changes, keys in (
        (["training.batch_size=16", "data.image_size_px=16"], "data.image_size_px, training.batch_size"),
        (["stages.finetune.loss=focal"], "stages.finetune.loss"),
        (["care.cam=layercam"], "care.cam"),
    ):
        with pytest.raises(InputError, match=f"Received other values of {keys} than those of .*care/fold1_seed0"):
            earlier(configs[:2], output, ["2"], changes)


def test_earlier_runs_on_data_that_changed_since_are_refused(configs, tmp_path, manifest):
    output = tmp_path / "out"
    finished(configs[:1], output, ["1"])
    rows, before = read_manifest(manifest), manifest.read_bytes()
    try:
        write_manifest(rows.subset(range(1, len(rows))), manifest)
        for paths in (configs[:1], configs[1:]):  # whether its method is planned now or not
            with pytest.raises(InputError, match="Received another manifest, boxes or weights than those of .*fold1"):
                earlier(paths, output, ["2"])
    finally:
        manifest.write_bytes(before)


def test_no_images_count_twice(configs, tmp_path, capsys):
    output = tmp_path / "out"
    finished(configs[:1], output, None)  # the configuration's own test fold is 3
    assert earlier(configs[:1], output, ["3"]) == ({}, [])
    assert "foldtest_seed0 is left out: fold3_seed0 tests the same" in capsys.readouterr().out
    finished(configs[:1], output, ["3"])
    assert [cell.fold for cell in earlier(configs[:1], output, ["1"])[1]] == ["3"]
    assert [cell.fold for cell in earlier(configs[:1], output, None)[1]] == []


def test_a_fold_that_nothing_lists_is_tested_on_with_the_listed_ones_in_training(configs, tmp_path):
    listed = ["data.train.folds=[1]", "data.test.folds=[2]"]
    (cell,) = comparison_plan.plan_cells(comparison_plan.read_methods(configs[:1], listed), ["3"], None, tmp_path)
    assert (cell.config.data.train.folds, cell.config.data.test.folds) == (("1", "2"), ("3",))


def test_a_cell_of_other_settings_is_refused(configs, tmp_path):
    methods = comparison_plan.read_methods(configs[:1])
    (cell,) = comparison_plan.plan_cells(methods, None, None, tmp_path / "out")
    assert (cell.fold, cell.config.data.test.folds) == ("test", ("3",))
    Progress(list(cell.fingerprints)).write(cell.folder)
    assert comparison_plan.plan_cells(methods, None, None, tmp_path / "out") == [cell]
    changed = comparison_plan.read_methods(configs[:1], ["stages.finetune.learning_rate=0.5"])
    with pytest.raises(InputError, match="other settings or data"):
        comparison_plan.plan_cells(changed, None, None, tmp_path / "out")


def test_folds_keep_the_split_and_the_number_of_validation_folds(configs, tmp_path, manifest):
    rows = read_manifest(manifest)
    splits = tuple("train" if index % 2 else "test" for index in range(len(rows)))
    write_manifest(dataclasses.replace(rows, splits=splits), manifest.parent / "split.csv")
    content = yaml.safe_load(configs[0].read_text())
    content["data"] |= {
        "manifest": str(manifest.parent / "split.csv"),
        "train": {"split": "train", "folds": [1]},
        "validation": {"split": "train", "folds": [2]},
        "test": {"split": "test", "folds": [3]},
    }
    (tmp_path / "split.yaml").write_text(yaml.safe_dump(content))
    cells = comparison_plan.plan_cells(
        comparison_plan.read_methods([tmp_path / "split.yaml"]), ["1", "3"], None, tmp_path
    )
    data = [cell.config.data for cell in cells]
    folds = [(d.train.folds, d.validation.folds, d.test.folds) for d in data]
    assert folds == [(("3",), ("2",), ("1",)), (("1",), ("2",), ("3",))]
    assert {(d.train.split, d.validation.split, d.test.split) for d in data} == {("train", "train", "test")}


def test_predictions_of_other_images_or_maps_are_made_again(configs, tmp_path):
    def plan(*overrides):
        return comparison_plan.plan_cells(comparison_plan.read_methods(configs[:1], overrides), None, None, tmp_path)[0]

    cell = plan()
    assert not cell.is_finished
    cell.folder.mkdir(parents=True)
    (cell.folder / run_files.CELL_RECORD).write_text(cell.prediction_fingerprint)
    assert not plan().is_finished
    write_images(cell)
    assert plan().is_finished
    assert not plan("care.cam=layercam").is_finished
    assert not plan("data.test.folds=[2]", "data.train.folds=[1, 3]").is_finished


def test_a_fold_without_enough_images_of_a_class_is_found_before_training(configs, tmp_path):
    sampling = "every_stage.sampling={name: class_aware, images_per_class: 16}"
    with pytest.raises(InputError, match="images_per_class=16"):
        comparison_plan.plan_cells(comparison_plan.read_methods(configs[:1], [sampling]), ["1"], None, tmp_path)


def test_bad_comparisons_are_refused(configs, tmp_path):
    methods = comparison_plan.read_methods(configs)
    with pytest.raises(InputError, match="--folds names '9', but the folds .* are 1, 2, 3"):
        comparison_plan.plan_cells(methods, ["9"], None, tmp_path)
    with pytest.raises(InputError, match="--folds must name different folds.*1, 1"):
        comparison_plan.plan_cells(methods, ["1", "1"], None, tmp_path)
    with pytest.raises(InputError, match="at least one configuration"):
        comparison_plan.read_methods([])
    (tmp_path / "other").mkdir()
    twin = tmp_path / "other" / "plain.yaml"
    twin.write_text(configs[0].read_text())
    with pytest.raises(InputError, match="two are called 'plain'"):
        comparison_plan.read_methods([configs[0], twin])
    twin = tmp_path / "other" / "elsewhere.yaml"
    twin.write_text(configs[0].read_text().replace("manifest.csv", "another.csv"))
    with pytest.raises(InputError, match="differ in data.manifest"):
        comparison_plan.read_methods([configs[0], twin])


def test_a_baseline_that_is_not_compared_gives_no_difference(configs):
    specs = comparison_plan.method_specs(comparison_plan.read_methods(configs[1:]))
    assert [(spec.title, spec.baseline) for spec in specs] == [("CARE", None), ("weighted", None)]
