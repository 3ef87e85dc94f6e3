import time
import warnings

import numpy as np
import pytest
from downloads import write_dicom
from PIL import Image

from care_tf.datasets.dicom import read_dicom
from care_tf.datasets.dicom_to_png import convert_dicom, convert_dicoms
from care_tf.errors import InputError

pytest.importorskip("pydicom")


def _write(path, pixels, **entries):
    return write_dicom(path, pixels, PatientName="Doe^Jane", PatientID="4711", PatientBirthDate="19700131", **entries)


def _pixels(height=30, width=40, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)


def test_the_png_holds_the_pixels_and_nothing_else(tmp_path):
    path, png = _write(tmp_path / "x.dcm", _pixels()), tmp_path / "new" / "x.png"
    converted = convert_dicom(path, png)
    assert converted == (("4711", 40, 30), 40, 30)
    with Image.open(png) as image:
        assert (image.format, image.mode, image.info) == ("PNG", "L", {})
        np.testing.assert_array_equal(np.asarray(image), _pixels())
    assert not any(word in png.read_bytes() for word in (b"Doe", b"4711", b"19700131"))
    assert [file.name for file in png.parent.iterdir()] == ["x.png"]


@pytest.mark.parametrize(
    ("shape", "max_side_px", "expected"),
    [((30, 40), 20, (15, 20)), ((40, 30), 20, (20, 15)), ((30, 40), 100, (30, 40)), ((2, 100), 10, (1, 10))],
)
def test_the_longer_side_is_shrunk_and_never_enlarged(tmp_path, shape, max_side_px, expected):
    png = tmp_path / "x.png"
    converted = convert_dicom(_write(tmp_path / "x.dcm", _pixels(*shape)), png, max_side_px=max_side_px)
    assert (converted.height, converted.width) == np.asarray(Image.open(png)).shape == expected
    assert (converted.header.height, converted.header.width) == shape


def test_shrinking_averages(tmp_path):
    pixels = _pixels()
    convert_dicom(_write(tmp_path / "x.dcm", pixels), tmp_path / "x.png", max_side_px=20)
    means = pixels.reshape(15, 2, 20, 2).mean(axis=(1, 3))
    assert np.abs(np.asarray(Image.open(tmp_path / "x.png")) - means).max() <= 0.5


def test_a_complete_png_is_kept_and_any_other_made_again(tmp_path):
    path, png = _write(tmp_path / "x.dcm", _pixels()), tmp_path / "x.png"
    Image.new("L", (40, 30), 7).save(png)
    assert convert_dicom(path, png) == (("4711", 40, 30), 40, 30)
    assert set(np.asarray(Image.open(png)).ravel()) == {7}
    complete = png.read_bytes()
    Image.new("L", (20, 15), 7).save(tmp_path / "smaller.png")
    for content in (complete[:-20], b"", (tmp_path / "smaller.png").read_bytes()):
        png.write_bytes(content)
        convert_dicom(path, png)
        np.testing.assert_array_equal(np.asarray(Image.open(png)), _pixels())


def test_a_bad_file_does_not_stop_the_rest(tmp_path):
    paths = [_write(tmp_path / f"{i}.dcm", _pixels(seed=i)) for i in range(5)]
    paths[1].write_bytes(paths[1].read_bytes()[:-100])
    paths[3].unlink()
    pngs = [tmp_path / "png" / f"{i}.png" for i in range(5)]
    results = convert_dicoms(paths, pngs, num_threads=2)
    assert [isinstance(result, InputError) for result in results] == [False, True, False, True, False]
    assert "1.dcm: The file cannot be decoded" in str(results[1])
    assert "3.dcm: There is no such file" in str(results[3])
    assert sorted(file.name for file in (tmp_path / "png").iterdir()) == ["0.png", "2.png", "4.png"]
    for i in (0, 2, 4):
        np.testing.assert_array_equal(np.asarray(Image.open(pngs[i])), _pixels(seed=i))


def test_progress_is_shown_and_warnings_of_pydicom_are_not(tmp_path, capsys):
    odd = _write(tmp_path / "x.dcm", _pixels(), PixelData=_pixels().tobytes() + bytes(4))
    with pytest.warns(UserWarning, match="excess"):
        read_dicom(odd)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (result,) = convert_dicoms([odd], [tmp_path / "x.png"])
    assert result == (("4711", 40, 30), 40, 30)
    assert "converting: 100%" in capsys.readouterr().err


def test_bad_arguments_and_outputs_are_refused(tmp_path):
    path = _write(tmp_path / "x.dcm", _pixels())
    with pytest.raises(InputError, match="The longest side must be at least 1 px. Received 0"):
        convert_dicoms([path], [tmp_path / "x.png"], max_side_px=0)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        convert_dicom(path, tmp_path / "file" / "x.png")


def test_an_interruption_does_not_wait_for_the_images_left(monkeypatch):
    started = []

    def convert(path, png_path, max_side_px):
        started.append(path)
        time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr("care_tf.datasets.dicom_to_png.convert_dicom", convert)
    paths = [str(i) for i in range(300)]
    with pytest.raises(KeyboardInterrupt):
        convert_dicoms(paths, paths, num_threads=1)
    assert 1 <= len(started) < 300
