from pathlib import Path

from care_tf.cli.prepare_shards import shards
from care_tf.data import read_manifest


def test_shards_are_written_and_what_is_left_out_is_told(image_folder, run, refuses):
    Path("image_3.png").write_bytes(b"no image")
    code, out, err = run(shards, "manifest.csv", "--output", "shards", "--workers", 2, "--shard-mb", 1)
    assert code == 0 and "shards/manifest.csv and 1 shards; 1 images left out" in out
    assert "warning: left out" in err and "image_3.png is not a readable JPEG or PNG." in err
    manifest = read_manifest("shards/manifest.csv")
    assert len(manifest) == 10 and manifest.has_boxes.sum() == 3
    assert "must not exist yet" in refuses(shards, "manifest.csv", "--output", "shards")
    assert run(shards, "manifest.csv", "--output", "shards", "--overwrite")[0] == 0


def test_further_columns_stay(image_folder, run):
    lines = Path("manifest.csv").read_text().splitlines()
    rows = [f"{line},{'age' if number == 0 else number}" for number, line in enumerate(lines)]
    Path("manifest.csv").write_text("\n".join(rows))
    assert run(shards, "manifest.csv", "--output", "shards")[0] == 0
    ages = read_manifest("shards/manifest.csv", inputs=["age"]).inputs["age"]
    assert ages == tuple(map(str, range(1, 12)))


def test_ctrl_c_says_that_the_same_command_continues(image_folder, run, monkeypatch):
    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("care_tf.data.shards.write_shards", stop)
    code, _, err = run(shards, "manifest.csv", "--output", "shards")
    assert code == 130 and err.splitlines()[0].endswith("the same command continues from there")
