import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from care_tf.datasets._dicom_display import apply_window, gray_levels
from care_tf.errors import InputError

_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


class _Entries(SimpleNamespace):
    """What a pydicom data set offers of its entries."""

    original_encoding = (False, True)

    def get(self, name, default=None):
        return getattr(self, name, default)

    def __contains__(self, name):
        return hasattr(self, name)

    def __getitem__(self, name):
        return SimpleNamespace(value=getattr(self, name))


def _entries(**values):
    return _Entries(**{"PhotometricInterpretation": "MONOCHROME2", "BitsStored": 16, **values})


def _table(outputs, *, first=0, bits=16, data=None, **values):
    return _Entries(
        LUTDescriptor=[len(outputs), first, bits], LUTData=list(outputs) if data is None else data, **values
    )


def _grays(entries, values, dtype=np.uint16, **options):
    """The grays of single values, as an image of just these would show them."""
    stored = np.array([values], dtype)
    return gray_levels(entries, stored, **options)[stored[0].astype(int) - np.iinfo(dtype).min].tolist()


def _standard(x, center, width, function):
    """PS3.3 C.11.2.1.2.1 and C.11.2.1.3 as printed there, with an output range of 0 to 1."""
    if function == "SIGMOID":
        exponent = -4 * (x - center) / width
        return 0.0 if exponent > 700 else 1 / (1 + math.exp(exponent))
    if function == "LINEAR":
        if x <= center - 0.5 - (width - 1) / 2:
            return 0.0
        if x > center - 0.5 + (width - 1) / 2:
            return 1.0
        return (x - (center - 0.5)) / (width - 1) + 0.5
    if x <= center - width / 2:
        return 0.0
    if x > center + width / 2:
        return 1.0
    return (x - center) / width + 0.5


_CENTERS = st.floats(-3000, 3000)
_WIDTHS = st.floats(1, 5000)


@given(st.lists(st.integers(-4000, 4000), min_size=1, max_size=20), _CENTERS, _WIDTHS, st.sampled_from(_FUNCTIONS))
def test_windows_are_those_of_the_standard(values, center, width, function):
    expected = [_standard(x, center, width, function) for x in values]
    np.testing.assert_allclose(apply_window(values, center, width, function), expected, atol=1e-9)


@pytest.mark.parametrize("function", _FUNCTIONS)
def test_windows_are_those_of_pydicom(function):
    pixels = pytest.importorskip("pydicom.pixels")
    from pydicom.dataset import Dataset

    dataset = Dataset()
    dataset.PhotometricInterpretation, dataset.PixelRepresentation, dataset.BitsStored = "MONOCHROME2", 0, 12
    dataset.WindowCenter, dataset.WindowWidth, dataset.VOILUTFunction = 1500, 700, function
    values = np.arange(4096)
    expected = pixels.apply_windowing(values, dataset) / 4095
    np.testing.assert_allclose(apply_window(values, 1500, 700, function), expected, atol=1e-12)


@given(_CENTERS, _WIDTHS, st.sampled_from(_FUNCTIONS))
def test_windows_rise_within_their_range(center, width, function):
    shown = apply_window(np.arange(-6000, 6000, 7), center, width, function)
    assert shown.min() >= 0 and shown.max() <= 1
    assert (np.diff(shown) >= 0).all()


@given(_CENTERS, _WIDTHS, st.sampled_from(("LINEAR_EXACT", "SIGMOID")), st.floats(0, 4000))
def test_the_exact_windows_are_symmetric_about_their_center(center, width, function, distance):
    below, above = apply_window([center - distance, center + distance], center, width, function)
    assert below + above == pytest.approx(1)


def test_a_linear_window_over_8_bits_changes_nothing():
    shown = 255 * apply_window(np.arange(256), 128, 256)
    np.testing.assert_allclose(shown, np.arange(256), atol=1e-12)


def test_a_window_of_width_1_is_a_step():
    assert apply_window([99, 99.5, 99.6, 100], 100, 1).tolist() == [0, 0, 1, 1]


def test_rescaling_comes_before_the_window():
    entries = _entries(
        RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=0, WindowWidth=200, VOILUTFunction="LINEAR_EXACT"
    )
    assert _grays(entries, [0, 450, 475, 500, 525, 550, 600]) == [0, 0, 64, 128, 191, 255, 255]
    assert _grays(_entries(RescaleIntercept=-10, WindowCenter=0, WindowWidth=1), [9, 10]) == [0, 255]


def test_monochrome1_is_inverted_after_the_window():
    window = {"WindowCenter": 100, "WindowWidth": 50}
    shown = np.array(_grays(_entries(**window), range(60, 140)))
    inverted = np.array(_grays(_entries(PhotometricInterpretation="MONOCHROME1", **window), range(60, 140)))
    assert (shown + inverted == 255).all() and shown[0] == 0


def test_a_view_is_chosen_by_number_or_name():
    entries = _entries(
        WindowCenter=[50, 500],
        WindowWidth=[1, 1],
        WindowCenterWidthExplanation=["LUNG", "Bone"],
        VOILUTSequence=[_table([0, 65535, 0], first=10, LUTExplanation="table")],
    )
    values = [10, 11, 100, 600]
    table, lung, bone = [0, 255, 0, 0], [0, 0, 255, 255], [0, 0, 0, 255]
    assert _grays(entries, values) == _grays(entries, values, window=0) == table
    assert _grays(entries, values, window=1) == _grays(entries, values, window="lung") == lung
    assert _grays(entries, values, window=2) == _grays(entries, values, window="BONE ") == bone
    for window in (3, -1, "brain", ""):
        with pytest.raises(InputError, match="There is no window .*. There is 0 'table', 1 'LUNG', 2 'Bone'"):
            gray_levels(entries, np.zeros((1, 1), np.uint16), window)
    with pytest.raises(InputError, match="There is no window ''. There is 0.$"):
        gray_levels(_entries(WindowCenter=5, WindowWidth=9), np.zeros((1, 1), np.uint16), "")
    with pytest.raises(InputError, match="There is no window 0. There is none, so leave the window out"):
        gray_levels(_entries(), np.zeros((1, 1), np.uint16), 0)


@given(
    st.lists(st.integers(0, 1023), min_size=2, max_size=300),
    st.integers(-500, 500),
    st.lists(st.integers(-2000, 2000), min_size=1, max_size=20),
)
def test_a_lookup_table_continues_with_its_ends(outputs, first, values):
    entries = _entries(VOILUTSequence=[_table(outputs, first=first, bits=10)])
    positions = [min(max(value - first, 0), len(outputs) - 1) for value in values]
    expected = [round(255 * outputs[position] / 1023) for position in positions]
    assert _grays(entries, values, np.int16) == expected


def test_a_table_of_8_bit_outputs_may_be_longer_than_256_entries():
    outputs = [min(i // 4, 255) for i in range(1024)]
    packed = bytes(outputs)
    words = np.array(outputs, "<u2").tobytes()
    for data in (outputs, packed, words):
        entries = _entries(VOILUTSequence=[_table(outputs, bits=8, data=data)])
        assert _grays(entries, [0, 400, 1023, 5000]) == [0, 100, 255, 255]


def test_tables_as_bytes_follow_the_order_of_the_file():
    outputs = [0, 256, 65535]
    for order, is_little_endian in (("<u2", True), (">u2", False)):
        table = _table(outputs, data=np.array(outputs, order).tobytes())
        entries = _entries(VOILUTSequence=[table], original_encoding=(False, is_little_endian))
        assert _grays(entries, [0, 1, 2]) == [0, 1, 255]


def test_a_modality_table_takes_the_place_of_rescaling():
    table = _table([1000, 0, 500], first=5, bits=12)
    entries = _entries(ModalityLUTSequence=[table], RescaleSlope=7, WindowCenter=500, WindowWidth=1000)
    assert _grays(entries, [4, 5, 6, 7, 8]) == [255, 255, 0, 128, 128]


def test_a_negative_first_entry_that_was_read_as_unsigned():
    entries = _entries(VOILUTSequence=[_table([0, 65535], first=2**16 - 3)])
    assert _grays(entries, [-4, -3, -2, 0], np.int16) == [0, 0, 255, 255]


@pytest.mark.parametrize(
    ("bits", "dtype", "values", "expected"),
    [
        (8, np.uint8, [3, 100, 200], [3, 100, 200]),
        (1, np.uint8, [0, 1], [0, 255]),
        (8, np.int8, [-128, 0, 127], [0, 128, 255]),
        (12, np.uint16, [100, 300, 500], [0, 128, 255]),
        (16, np.int16, [-1000, 0, 1000], [0, 128, 255]),
        (12, np.uint16, [7, 7], [0, 0]),
    ],
)
def test_without_a_window_the_whole_range_is_shown(bits, dtype, values, expected):
    assert _grays(_entries(BitsStored=bits), values, dtype) == expected


def test_padding_does_not_count_for_the_range():
    entries = _entries(PixelPaddingValue=-2000)
    assert _grays(entries, [-2000, 0, 50, 100], np.int16) == [0, 0, 128, 255]
    assert _grays(entries, [-2000, -2000], np.int16) == [0, 0]


def test_a_range_of_padding_does_not_count_for_the_range():
    entries = _entries(PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1900)
    assert _grays(entries, [-2000, -1950, -1900, 0, 50, 100], np.int16) == [0, 0, 0, 0, 128, 255]
    assert _grays(_entries(PixelPaddingValue=None), [0, 50, 100]) == [0, 128, 255]


def test_a_falling_modality_turns_the_range_around():
    assert _grays(_entries(BitsStored=8, RescaleSlope=-1, RescaleIntercept=255), [0, 55, 255], np.uint8) == [
        255,
        200,
        0,
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"WindowCenter": 5, "WindowWidth": 0},
            "width must be at least 1 and finite for LINEAR. Received center 5, width 0",
        ),
        ({"WindowCenter": 5, "WindowWidth": 0, "VOILUTFunction": "SIGMOID"}, "must be positive and finite for SIGMOID"),
        ({"WindowCenter": 5, "WindowWidth": 9, "VOILUTFunction": "CUBIC"}, "must be LINEAR, .* Received 'CUBIC'"),
        ({"WindowCenter": [5, 6], "WindowWidth": 9}, "needs a width. Received 2 centers and 1 widths"),
        ({"WindowCenter": 5}, "Received 1 centers and 0 widths"),
        ({"VOILUTSequence": [_Entries(LUTDescriptor=[9, 0, 16], LUTData=[1, 2])]}, "says 9 of 16 bits and holds 2"),
        ({"VOILUTSequence": [_table([1, 2], bits=32)]}, "entries of 8 to 16 bits .* says 2 of 32 bits"),
        ({"VOILUTSequence": [_Entries(LUTDescriptor=[9], LUTData=[1])]}, r"LUTDescriptor \(0028,3002\) must .* three"),
        ({"WindowCenter": "5,5", "WindowWidth": 9}, "WindowCenter must hold numbers. Received .*'5,5'"),
        ({"RescaleSlope": 0}, r"RescaleSlope \(0028,1053\) must be a number other than 0, .* Received 0, 0"),
        ({"RescaleIntercept": "nan"}, r"RescaleIntercept \(0028,1052\) any number. Received 1, nan"),
    ],
)
def test_bad_views_are_refused(values, message):
    with pytest.raises(InputError, match=message):
        gray_levels(_entries(**values), np.zeros((2, 2), np.uint16))
