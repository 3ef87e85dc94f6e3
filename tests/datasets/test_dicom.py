import io
import sys
import tracemalloc
import zlib

import numpy as np
import pytest
from downloads import write_dicom
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from care_tf.datasets import _inflation_guard
from care_tf.datasets.dicom import DicomHeader, read_dicom, read_dicom_header
from care_tf.errors import InputError

pydicom = pytest.importorskip("pydicom")

from pydicom import uid  # noqa: E402
from pydicom.data import get_testdata_file  # noqa: E402
from pydicom.dataset import Dataset  # noqa: E402

# Oddities of files are pydicom's to warn about.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")


def _sample(name):
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"this pydicom does not come with {name}")
    return path


def _raw(path, dtype, shape):
    """The last bytes of an uncompressed file, read without pydicom, as pixels."""
    size = np.dtype(dtype).itemsize * shape[0] * shape[1]
    with open(path, "rb") as file:
        content = file.read()
    start = content.rindex(b"\xe0\x7f\x10\x00OW\0\0") + 12
    return np.frombuffer(content[start : start + size], dtype).reshape(shape).astype(np.float64)


def _ramp(dtype=np.uint8, start=0):
    return (np.arange(12 * 20).reshape(12, 20) + start).astype(dtype)


def test_a_ct_without_window_is_shown_from_its_least_to_its_greatest_value():
    path = _sample("CT_small.dcm")
    stored = _raw(path, "<i2", (128, 128))
    assert stored.min() > -2000  # no pixel is padding
    expected = 255 * (stored - stored.min()) / (stored.max() - stored.min())
    assert np.abs(read_dicom(path) - expected).max() <= 0.5
    assert read_dicom_header(path) == DicomHeader("1CT1", 128, 128)


def test_an_mr_is_shown_through_its_window():
    path = _sample("MR_small.dcm")
    stored = _raw(path, "<i2", (64, 64))
    expected = 255 * np.clip((stored - 599.5) / 1599 + 0.5, 0, 1)
    assert np.abs(read_dicom(path) - expected).max() <= 0.5


@pytest.mark.parametrize(
    "name", ["MR_small_RLE", "MR_small_bigendian", "MR_small_implicit", "MR_small_jp2klossless", "MR_small_padded"]
)
def test_the_encoding_does_not_matter(name):
    np.testing.assert_array_equal(read_dicom(_sample(f"{name}.dcm")), read_dicom(_sample("MR_small.dcm")))


def test_a_deflated_file_of_8_bits_is_shown_as_it_is():
    path = _sample("image_dfl.dcm")
    np.testing.assert_array_equal(read_dicom(path), pydicom.dcmread(path).pixel_array)


def test_jpeg_baseline_as_in_the_pneumonia_challenge(tmp_path):
    rows, columns = np.mgrid[:96, :128]
    pixels = (127 + 60 * np.sin(rows / 9) + 60 * np.cos(columns / 13)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    path = write_dicom(
        tmp_path / "x.dcm", pixels, syntax=uid.JPEGBaseline8Bit, frames=[file.getvalue()], PatientID="p "
    )
    np.testing.assert_array_equal(read_dicom(path), np.asarray(Image.open(file)))
    assert read_dicom_header(path) == DicomHeader("p", 128, 96)


@settings(max_examples=30)
@given(
    dtype=st.sampled_from(["u1", "i1", "u2", "i2"]),
    missing_bits=st.integers(0, 4),
    seed=st.integers(0, 99),
    center=st.integers(-300, 3000),
    width=st.integers(2, 4000),
    inverted=st.booleans(),
    syntax=st.sampled_from([uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian]),
)
def test_every_depth_and_sign(tmp_path_factory, dtype, missing_bits, seed, center, width, inverted, syntax):
    num_bits = 8 * int(dtype[1]) - missing_bits
    low, high = (0, 2**num_bits) if dtype[0] == "u" else (-(2 ** (num_bits - 1)), 2 ** (num_bits - 1))
    pixels = np.random.default_rng(seed).integers(low, high, (6, 8)).astype(dtype)
    path = write_dicom(
        tmp_path_factory.mktemp("dicom") / "x.dcm",
        pixels,
        syntax=syntax,
        BitsStored=num_bits,
        PhotometricInterpretation="MONOCHROME1" if inverted else "MONOCHROME2",
        WindowCenter=center,
        WindowWidth=width,
        RescaleSlope="0.5",
        RescaleIntercept="-10",
    )
    shown = 255 * np.clip((0.5 * pixels - 10 - (center - 0.5)) / (width - 1) + 0.5, 0, 1)
    assert np.abs(read_dicom(path) - (255 - shown if inverted else shown)).max() <= 0.5 + 1e-6


def test_bits_above_the_stored_ones_are_not_seen(tmp_path):
    pixels = _ramp(np.uint16)
    path = write_dicom(tmp_path / "x.dcm", pixels | 0xF000, BitsStored=12, WindowCenter=128, WindowWidth=256)
    np.testing.assert_array_equal(read_dicom(path), pixels)


def _aligned(value, high_bit, num_stored, signed):
    """PS3.5 8.1.1 and Annex D, bit by bit: the value of one cell."""
    bits = [(value >> (high_bit - i)) & 1 for i in range(num_stored)]
    return sum(bit << (num_stored - 1 - i) for i, bit in enumerate(bits)) - (bits[0] << num_stored if signed else 0)


@settings(max_examples=25)
@given(st.data(), st.booleans(), st.integers(1, 16))
def test_the_high_bit_says_where_the_pixels_are(tmp_path_factory, data, signed, num_stored):
    high_bit = data.draw(st.integers(num_stored - 1, 15))
    cells = np.random.default_rng(high_bit).integers(0, 2**16, (6, 8))
    cells[0] = (2**16 - 1, 1 << high_bit, *([0] * 6))  # never all within the lowest bits
    pixels = np.vectorize(_aligned)(cells, high_bit, num_stored, signed)
    shown = 255 * np.clip((pixels - 99.5) / 399 + 0.5, 0, 1)
    path = write_dicom(
        tmp_path_factory.mktemp("dicom") / "x.dcm",
        cells.astype(np.uint16).astype("i2" if signed else "u2"),
        BitsStored=num_stored,
        HighBit=high_bit,
        WindowCenter=100,
        WindowWidth=400,
    )
    assert np.abs(read_dicom(path) - shown).max() <= 0.5 + 1e-6


def test_the_high_bit_of_run_length_encoded_cells_counts_too(tmp_path):
    pixels, window = _ramp(np.uint16, 100), {"WindowCenter": 200, "WindowWidth": 300}
    path = write_dicom(tmp_path / "native.dcm", pixels << 4, BitsStored=12, HighBit=15, **window)
    dataset = pydicom.dcmread(path)
    dataset.compress(uid.RLELossless)
    dataset.save_as(tmp_path / "rle.dcm", enforce_file_format=True)
    np.testing.assert_array_equal(read_dicom(tmp_path / "rle.dcm"), read_dicom(path))
    expected = read_dicom(write_dicom(tmp_path / "low.dcm", pixels, BitsStored=12, **window))
    np.testing.assert_array_equal(read_dicom(path), expected)


@pytest.mark.parametrize("signed", [False, True])
def test_a_high_bit_that_contradicts_the_pixels_is_refused(tmp_path, signed):
    path = tmp_path / "x.dcm"
    write_dicom(path, _ramp(np.int16 if signed else np.uint16, -90 if signed else 0), BitsStored=12, HighBit=15)
    with pytest.raises(
        InputError, match=r"HighBit \(0028,0102\) must .* Received 15, but the pixels are in the lowest 12 bits"
    ):
        read_dicom(path)
    for high_bit in (10, 16):
        write_dicom(path, _ramp(np.uint16), BitsStored=12, HighBit=high_bit)
        with pytest.raises(InputError, match=rf"HighBit \(0028,0102\) must be one less .*, 12. Received {high_bit}."):
            read_dicom(path)
    write_dicom(path, _ramp(), BitsStored=7, HighBit=7, syntax=uid.JPEGBaseline8Bit, frames=[b"1234"])
    with pytest.raises(InputError, match=r"HighBit \(0028,0102\) must be one less"):
        read_dicom(path)


def _rewritten(path, *, has_preamble, has_meta):
    """The file again without TransferSyntaxUID, and without its preamble or all of its file meta information."""
    dataset, content = pydicom.dcmread(path), path.read_bytes()
    syntax = str(dataset.file_meta.TransferSyntaxUID).encode()
    element = (
        b"\2\0\x10\0UI" + (len(syntax) + len(syntax) % 2).to_bytes(2, "little") + syntax + b"\0" * (len(syntax) % 2)
    )
    assert content.count(element) == 1
    start = 132 + 12 + dataset.file_meta.FileMetaInformationGroupLength
    meta = content[132:start].replace(element, b"") if has_meta else b""
    path.write_bytes((content[:132] if has_preamble else b"") + meta + content[start:])
    return path


@pytest.mark.parametrize("syntax", [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian])
@pytest.mark.parametrize(("has_preamble", "has_meta"), [(True, True), (False, True), (True, False), (False, False)])
def test_without_transfer_syntax_or_preamble(tmp_path, syntax, has_preamble, has_meta):
    pixels = _ramp(np.uint16, 300)
    path = write_dicom(tmp_path / "x.dcm", pixels, syntax=syntax, WindowCenter=428, WindowWidth=256, PatientID="p")
    _rewritten(path, has_preamble=has_preamble, has_meta=has_meta)
    np.testing.assert_array_equal(read_dicom(path), pixels - 300)
    assert read_dicom_header(path) == DicomHeader("p", 20, 12)


def test_a_transfer_syntax_that_is_missing_or_contradicts_the_pixels_is_refused(tmp_path):
    message = r"TransferSyntaxUID \(0002,0010\) must say how the pixels are encoded. Received "
    file = io.BytesIO()
    Image.fromarray(_ramp()).save(file, "JPEG")
    path = write_dicom(tmp_path / "x.dcm", _ramp(), syntax=uid.JPEGBaseline8Bit, frames=[file.getvalue()])
    compressed = path.read_bytes()
    path.write_bytes(compressed.replace(b"1.2.840.10008.1.2.4.50", b"1.2.840.10008.1.2.1\0\0\0"))
    with pytest.raises(InputError, match=message + "Explicit VR Little Endian .*, and pixels that are compressed"):
        read_dicom(path)
    path.write_bytes(compressed)
    with pytest.raises(InputError, match=message + "none, and pixels that are compressed"):
        read_dicom(_rewritten(path, has_preamble=True, has_meta=True))
    content = write_dicom(path, _ramp()).read_bytes()
    for other in (b"1.2.840.10008.1.2.5", b"1.2.840.99999.1.2.5"):
        path.write_bytes(content.replace(b"1.2.840.10008.1.2.1", other))
        with pytest.raises(InputError, match=message + f".*{other.decode()}.*, and pixels that are not compressed"):
            read_dicom(path)


@pytest.mark.parametrize("name", ["BitsAllocated", "BitsStored", "PixelRepresentation", "Rows", "Columns"])
def test_missing_elements_that_cannot_be_known_are_named(tmp_path, name):
    path = write_dicom(tmp_path / "x.dcm", _ramp())
    dataset = pydicom.dcmread(path)
    del dataset[name]
    dataset.save_as(path)
    with pytest.raises(InputError, match=f"must say how its pixels are stored. Received no {name}."):
        read_dicom(path)


def test_missing_elements_that_follow_from_others_are_not_missed(tmp_path):
    path = write_dicom(tmp_path / "x.dcm", _ramp(np.uint16), BitsStored=12, RescaleSlope="", WindowCenter="")
    dataset = pydicom.dcmread(path)
    expected = read_dicom(path)
    del dataset.HighBit, dataset.SamplesPerPixel, dataset.RescaleSlope, dataset.WindowCenter
    dataset.NumberOfFrames = None
    dataset.save_as(path)
    np.testing.assert_array_equal(read_dicom(path), expected)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_the_first_of_several_windows_through_each_function(tmp_path, function, photometric):
    from pydicom.pixels import apply_windowing

    pixels = _ramp(np.uint16, 1400)
    entries = {"WindowCenter": [1500, 9], "WindowWidth": [150, 0], "PhotometricInterpretation": photometric}
    entries |= {} if function is None else {"VOILUTFunction": function}
    path = write_dicom(tmp_path / "x.dcm", pixels, BitsStored=12, RescaleIntercept="7", **entries)
    dataset = pydicom.dcmread(path)
    shown = 255 * apply_windowing(pixels + 7.0, dataset) / 4095
    assert np.abs(read_dicom(path) - (255 - shown if photometric == "MONOCHROME1" else shown)).max() <= 0.5 + 1e-6
    with pytest.raises(InputError, match=r"x.dcm: WindowWidth \(0028,1051\): .* Received center 9, width 0"):
        read_dicom(path, 1)


def test_an_enhanced_image_of_one_frame_has_its_view_one_level_down(tmp_path):
    group, values, view = Dataset(), Dataset(), Dataset()
    values.RescaleIntercept, values.RescaleSlope = "-1000", "2"
    view.WindowCenter, view.WindowWidth, view.VOILUTFunction = "-800", "200", "LINEAR_EXACT"
    group.PixelValueTransformationSequence, group.FrameVOILUTSequence = [values], [view]
    path = write_dicom(tmp_path / "x.dcm", _ramp(), SharedFunctionalGroupsSequence=[group])
    shown = 255 * np.clip((2.0 * _ramp() - 1000 + 800) / 200 + 0.5, 0, 1)
    assert np.abs(read_dicom(path) - shown).max() <= 0.5 + 1e-6


def test_a_window_is_chosen_by_name(tmp_path):
    entries = {"WindowCenter": [50, 100], "WindowWidth": [1, 1], "WindowCenterWidthExplanation": ["LUNG", "BONE"]}
    path = write_dicom(tmp_path / "x.dcm", _ramp(), **entries)
    np.testing.assert_array_equal(read_dicom(path), np.where(_ramp() >= 50, 255, 0))
    np.testing.assert_array_equal(read_dicom(path, "bone"), np.where(_ramp() >= 100, 255, 0))
    with pytest.raises(InputError, match="x.dcm: There is no window 'brain'. There is 0 'LUNG', 1 'BONE'"):
        read_dicom(path, "brain")


@pytest.mark.parametrize("syntax", [uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian])
def test_lookup_tables_are_read_from_the_file(tmp_path, syntax):
    item = Dataset()
    item.LUTDescriptor, item.LUTExplanation = [3, 100, 16], "table"
    item.add_new(
        "LUTData", "OW", np.array([0, 65535, 257], ">u2" if syntax == uid.ExplicitVRBigEndian else "<u2").tobytes()
    )
    path = write_dicom(tmp_path / "x.dcm", _ramp(np.uint16), syntax=syntax, VOILUTSequence=[item])
    ramp = _ramp()
    np.testing.assert_array_equal(read_dicom(path), np.select([ramp <= 100, ramp == 101], [0, 255], 1))


def test_a_header_without_patient_has_an_empty_one(tmp_path):
    assert read_dicom_header(write_dicom(tmp_path / "none.dcm", _ramp())).patient_id == ""
    assert read_dicom_header(write_dicom(tmp_path / "empty.dcm", _ramp(), PatientID="")).patient_id == ""


@settings(max_examples=25)
@given(is_jpeg=st.booleans(), fraction=st.floats(0, 0.999))
def test_a_file_that_was_cut_off_is_refused_or_complete(tmp_path_factory, is_jpeg, fraction):
    """A cut may spare the pixels and take only the mark behind them; never may it change the image."""
    folder = tmp_path_factory.mktemp("cut")
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    options = {"syntax": uid.JPEGBaseline8Bit, "frames": [file.getvalue()]} if is_jpeg else {}
    path = write_dicom(folder / "x.dcm", pixels, **options)
    complete, content = read_dicom(path), path.read_bytes()
    path.write_bytes(content[: int(len(content) * fraction)])
    try:
        shown = read_dicom(path)
    except InputError as error:
        assert str(path) in str(error)
    else:
        np.testing.assert_array_equal(shown, complete)


def test_a_shortened_image_is_refused():
    with pytest.raises(InputError, match="MR_truncated.dcm: The file cannot be decoded: .*. Copy it again"):
        read_dicom(_sample("MR_truncated.dcm"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("SC_rgb_jpeg.dcm", "must be grayscale, MONOCHROME1 or MONOCHROME2. Received RGB"),
        ("examples_palette.dcm", "must be grayscale, .* Received PALETTE COLOR"),
        ("rtdose.dcm", "must hold one image. Received 15 frames"),
        ("rtdose_1frame.dcm", "at most 16 bits per pixel. Received 32"),
        ("rtplan.dcm", "The file has no pixel data. Leave it out"),
        ("no_meta.dcm", "is not a DICOM file"),
    ],
)
def test_what_is_no_single_grayscale_image_is_refused(name, message):
    with pytest.raises(InputError, match=f"{name}: .*{message}"):
        read_dicom(_sample(name))


def test_a_planar_color_image_is_refused(tmp_path):
    pixels = np.zeros((4, 5, 3), np.uint8)
    path = write_dicom(
        tmp_path / "x.dcm", pixels, SamplesPerPixel=3, PlanarConfiguration=1, PhotometricInterpretation="RGB"
    )
    with pytest.raises(InputError, match="must be grayscale"):
        read_dicom(path)


def test_a_compression_without_decoder_is_named_with_what_to_install(tmp_path, monkeypatch):
    path = write_dicom(tmp_path / "x.dcm", _ramp(), syntax=uid.JPEGLSLossless, frames=[b"1234"])
    decoder = pydicom.pixels.get_decoder(uid.JPEGLSLossless)
    monkeypatch.setattr(type(decoder), "is_available", property(lambda self: False))
    with pytest.raises(InputError, match=r"JPEG-LS Lossless .* \(1.2.840.10008.1.2.4.80\), which nothing .*pyjpegls"):
        read_dicom(path)


def test_a_compression_that_pydicom_does_not_know_is_named(tmp_path):
    path = write_dicom(tmp_path / "x.dcm", _ramp(), syntax=uid.MPEG2MPML, frames=[b"1234"])
    with pytest.raises(
        InputError, match=r"MPEG2 .*, which pydicom does not decode. To read it, save it in an uncompressed"
    ):
        read_dicom(path)


def test_broken_compressed_data_are_named(tmp_path):
    path = write_dicom(tmp_path / "x.dcm", _ramp(), syntax=uid.JPEGBaseline8Bit, frames=[b"no JPEG at all"])
    with pytest.raises(InputError, match=r"x.dcm: The pixels are compressed as JPEG Baseline .*. Copy it again, or"):
        read_dicom(path)


def test_missing_and_other_files_are_refused(tmp_path):
    for read in (read_dicom, read_dicom_header):
        with pytest.raises(InputError, match="none.dcm: There is no such file"):
            read(tmp_path / "none.dcm")
        (tmp_path / "text.dcm").write_text("patientId,x,y,width,height,Target")
        with pytest.raises(InputError, match="text.dcm: The file is not a DICOM file"):
            read(tmp_path / "text.dcm")
    with pytest.raises(InputError, match="names no Rows and Columns"):
        read_dicom_header(_sample("rtplan.dcm"))


def test_without_pydicom_it_says_what_to_install(tmp_path, monkeypatch):
    path = write_dicom(tmp_path / "x.dcm", _ramp())
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(InputError, match=r"needs pydicom\. .*pip install 'care_tf\[dicom\]'"):
        read_dicom(path)


def test_what_decompresses_to_another_size_is_refused_before_it_does(tmp_path, monkeypatch):
    header = np.array([1, 64, *[0] * 14], "<u4").tobytes()
    path = write_dicom(
        tmp_path / "a.dcm", np.zeros((2, 3), np.uint8), syntax=uid.RLELossless, frames=[header + b"\x81\7" * 9]
    )
    monkeypatch.setattr("pydicom.dataset.Dataset.pixel_array", property(lambda _: pytest.fail("was decompressed")))
    with pytest.raises(
        InputError, match="a.dcm: The compressed pixels .* 3 x 2. Received RLE of more than 12 bytes. Exp"
    ):
        read_dicom(path)
    for kind, syntax in {"JPEG": uid.JPEGBaseline8Bit, "JPEG2000": uid.JPEG2000Lossless}.items():
        Image.new("L", (30, 20)).save(file := io.BytesIO(), kind, no_jp2=True)
        path = write_dicom(tmp_path / "a.dcm", np.zeros((2, 3), np.uint8), syntax=syntax, frames=[file.getvalue()])
        with pytest.raises(InputError, match="as Columns and Rows say, 3 x 2. Received 30 x 20. Export"):
            read_dicom(path)


def test_what_states_too_many_pixels_is_refused_before_it_is_decompressed(tmp_path, monkeypatch):
    entries = {"syntax": uid.RLELossless, "frames": [b"none"], "Rows": 10_000, "Columns": 9000}
    path = write_dicom(tmp_path / "a.dcm", np.zeros((2, 3), np.uint8), **entries)
    monkeypatch.setattr("pydicom.dataset.Dataset.pixel_array", property(lambda _: pytest.fail("was decompressed")))
    with pytest.raises(InputError, match=r"a.dcm: .* at most 89,478,485 pixels. Received 9,000 x 10,000 as Col.* Shr"):
        read_dicom(path)


@pytest.mark.parametrize("read", [read_dicom, read_dicom_header])
@pytest.mark.parametrize("has_preamble", [True, False])
def test_a_deflated_file_is_not_inflated_beyond_a_limit(tmp_path, monkeypatch, read, has_preamble):
    monkeypatch.setattr(_inflation_guard, "MOST_INFLATED", 2**20)
    path = write_dicom(tmp_path / "a.dcm", _ramp(), syntax=uid.DeflatedExplicitVRLittleEndian)
    plain = read(path)
    contents = path.read_bytes()
    start = 144 + int.from_bytes(contents[140:144], "little")  # behind the file meta information
    padding = 2**25
    trailing = b"\xfc\xff\xfc\xffOB\0\0" + padding.to_bytes(4, "little") + bytes(padding)
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = deflater.compress(zlib.decompress(contents[start:], -zlib.MAX_WBITS) + trailing) + deflater.flush()
    path.write_bytes(contents[0 if has_preamble else 132 : start] + deflated)
    tracemalloc.start()
    try:
        expected = "a.dcm: The deflated part.* at most 1,048,576 bytes.*Received more" if has_preamble else "a.dcm: "
        with pytest.raises(InputError, match=expected):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < padding / 4
    finally:
        tracemalloc.stop()
    monkeypatch.undo()
    np.testing.assert_array_equal(read(path), plain)
