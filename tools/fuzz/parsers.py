"""What is fuzzed: every reader of something that a user has from others, with valid inputs to start from."""

import copy
import io
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

_PIXELS = np.random.default_rng(0).integers(0, 256, (12, 16, 3)).astype(np.uint8)
_CONFIG = b"""\
output: runs/a
title: "a: b"
seed: 3
data: {manifest: m.csv, train: {folds: [1, 2]}, test: {split: test}, image_size_px: [64, 48], class_names: [a, "no"]}
model: &net {backbone: resnet50, weights: null, dropout: 0.25}
care: {tau: .7, lam: 1.0e-1, reduction: batch}
training: {batch_size: 8, optimizer: AdamW, callbacks: [{name: "m:f", x: 2026-01-02}]}
every_stage: {epochs: 3, learning_rate: 1.0e-3, loss: {name: focal, gamma: 1}}
stages:
  first: {alpha: 0.0}
  second: {alpha: 0.5, <<: {epochs: 2}}
"""


class Parser(NamedTuple):
    """Makes, in an empty folder, valid inputs and the function that reads one; and how many inputs by default."""

    start: Callable[[Path], tuple[list[bytes], Callable[[bytes], object]]]
    inputs: int


def _image(mode="RGB", format_name="PNG", **options):
    pixels = _PIXELS if mode == "RGB" else _PIXELS[..., 0].astype(np.uint16) * 200 if mode == "I;16" else None
    image = Image.fromarray(pixels) if pixels is not None else Image.fromarray(_PIXELS).convert(mode)
    file = io.BytesIO()
    image.save(file, format_name, **options)
    return file.getvalue()


def _exif(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def _images():
    """PNG, JPEG and TIFF files of the kinds that people have."""
    pngs = [_image(mode) for mode in ("RGB", "L", "P", "RGBA", "1", "I;16")]
    jpegs = [_image("RGB", "JPEG"), _image("L", "JPEG", progressive=True), _image("RGB", "JPEG", exif=_exif(6))]
    tiffs = [_image("RGB", "TIFF", compression=name) for name in (None, "tiff_lzw", "tiff_adobe_deflate")]
    return pngs + jpegs + tiffs


def _of_file(name, read):
    """Reads what is written into a file of this name."""

    def start(folder):
        path = folder / name

        def write_and_read(data):
            path.write_bytes(data)
            return read(path)

        return write_and_read

    return start


def _manifest(folder):
    from care_tf.data.manifest import read_manifest

    for name in "abc":
        (folder / f"{name}.png").write_bytes(_image())
    rows = 'image,label,boxes,group,fold\na.png,x,"[[0, 0, 4, 4.5], [1, 2, 3, 4]]",1,1\nb.png,y,,2,2\nc.png,x,[],,3\n'
    valid = [rows.encode(), rows.replace(",", ";").encode(), rows.encode("utf-16"), b"image,label\na.png,x\nb.png,y\n"]
    return valid, _of_file("m.csv", read_manifest)(folder)


def _config(folder):
    from care_tf.runs.config import load_config

    return [_CONFIG, b"extends: isic2018/care\nseed: 2\n"], _of_file("c.yaml", load_config)(folder)


def _overrides(folder):
    from care_tf.runs.config import _apply_override, validate_config
    from care_tf.yaml_text import parse_yaml

    whole = parse_yaml(_CONFIG.decode(), "c.yaml")

    def read(data):
        content = copy.deepcopy(whole)
        for override in data.decode("utf-8", "surrogateescape").split("\n"):
            _apply_override(content, override)
        return validate_config(content, "c.yaml")

    texts = ("seed=4", "care.tau=.5", "data.class_names=[a, b]", "stages.first.loss={name: ldam}", "title=2026-01-02")
    return ["\n".join(texts[start:]).encode() for start in range(len(texts))], read


def _annotations(format_name, suffix=""):
    def start(folder):
        from care_tf.boxes.formats import AnnotatedImage, read_annotations, write_annotations

        boxes = np.array([[1.0, 2, 30, 40.5], [5, 6, 70, 80]])
        one = boxes[:1] if format_name == "isic-masks" else boxes
        images = [
            AnnotatedImage("a.jpg", one, ("lesion", "NO")[: len(one)], width=640, height=480),
            AnnotatedImage("1.2.b.png", boxes[:1], ("lesion",), width=640, height=480),
        ]
        path = folder / f"boxes{suffix}"
        options: dict[str, Any] = {"image_size": None} if format_name in ("rsna", "nih") else {}
        write_annotations(images, path, format_name, **options)
        files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
        originals = {file: file.read_bytes() for file in files}
        turn = iter(range(10**9))

        def read(data):
            changed = files[next(turn) % len(files)]
            changed.write_bytes(data)
            try:
                return read_annotations(path, format_name, **options)
            finally:
                changed.write_bytes(originals[changed])

        return list(originals.values()), read

    return start


def _isic(folder):
    from care_tf.datasets.isic2018 import _read_labels, _read_metadata

    labels = b"image,MEL,NV,BCC,AKIEC,BKL,DF,VASC\n" + b"".join(
        f"ISIC_{n:07d},{','.join('1.0' if n % 7 == k else '0.0' for k in range(7))}\n".encode() for n in range(9)
    )
    metadata = b"lesion_id,image_id,dx,dx_type,age,sex\nHAM_1,ISIC_1,df,histo,50,male\nHAM_2,ISIC_2,nv,histo,,female\n"

    def read(path):
        return _read_labels(path) if b"MEL" in path.read_bytes()[:200] else _read_metadata(path)

    return [labels, metadata], _of_file("t.csv", read)(folder)


def _rsna(folder):
    from care_tf.datasets.rsna_tables import read_boxes, read_classes, read_patients

    boxes = b"patientId,x,y,width,height,Target\na,1.0,2,30,40,1\na,50,60,7,8,1\nb,,,,,0\n"
    classes = b"patientId,class\na,Lung Opacity\nb,Normal\nc,No Lung Opacity / Not Normal\n"
    patients = b"patientId,patient\na,1\nb,2\n"

    def read(path):
        head = path.read_bytes()[:60]
        if b"Target" in head:
            return read_boxes(path)
        return read_classes(path) if b"class" in head else read_patients(path, ["a", "b"])

    return [boxes, classes, patients], _of_file("t.csv", read)(folder)


def _dicom(folder):
    from downloads import write_dicom
    from pydicom import uid

    from care_tf.datasets.dicom import read_dicom, read_dicom_header

    gray = _PIXELS[..., 0]
    kinds = [(gray, {}), (gray.astype(np.uint16) * 9, {"WindowCenter": "900", "WindowWidth": "500", "BitsStored": 12})]
    kinds += [(gray.astype(np.int16) - 50, {"RescaleSlope": "2", "RescaleIntercept": "-9"})]
    kinds += [(gray, {"syntax": uid.JPEGBaseline8Bit, "frames": [_image("L", "JPEG")]})]
    kinds += [(gray, {"syntax": uid.ImplicitVRLittleEndian}), (gray, {"syntax": uid.DeflatedExplicitVRLittleEndian})]
    valid = [write_dicom(folder / "v.dcm", pixels, **entries).read_bytes() for pixels, entries in kinds]

    def read(path):
        read_dicom_header(path)
        return read_dicom(path)

    return valid, _of_file("x.dcm", read)(folder)


def _pixels(folder):
    from care_tf.serving._image_files import read_pixels, refuse_large

    def read(path):
        refuse_large(path)
        return read_pixels(path)

    return _images(), _of_file("x.png", read)(folder)


def _headers(folder):
    from care_tf.images.header import read_image_header

    return _images(), _of_file("x.png", read_image_header)(folder)


def _masks(folder):
    from care_tf.images.pixels import read_mask

    return _images()[:6], _of_file("x.png", read_mask)(folder)


def _shards(folder):
    """A shard, at the places of the valid one; other bytes than those of the images and the mask are a fault."""
    from care_tf.data.manifest import read_manifest
    from care_tf.data.shards import write_shards
    from care_tf.errors import InputError
    from care_tf.images.header import read_image_header
    from care_tf.shard_place import find_places, read_place

    files = {"a.png": _image(), "b.jpg": _image("RGB", "JPEG"), "mask.png": _image("L")}
    for name, contents in files.items():
        (folder / name).write_bytes(contents)
    (folder / "m.csv").write_text('image,label,boxes,mask\na.png,x,,mask.png\nb.jpg,y,"[[1, 1, 9, 9]]",\n')
    manifest = write_shards(read_manifest(folder / "m.csv"), folder / "shards").manifest
    places = [place for place in find_places(manifest.image_paths + manifest.mask_paths) if place is not None]
    assert len(places) == len(files)
    shard = Path(places[0].shard)

    def read(data):
        shard.write_bytes(data)
        refusals = []
        for place in places:
            try:
                read_image_header(str(place))
                assert read_place(place) == files[place.name]
            except InputError as error:
                refusals.append(error)
        if refusals:
            raise refusals[0]

    return [shard.read_bytes()], read


def _models(folder):
    """Archives, HDF5 files, and the descriptions in them, which are put into a whole file: a mutated one is refused.

    Searched, not built: what Keras makes of a description is not ours.
    """
    import h5py
    import keras

    from care_tf.model_file import refuse_code

    layers = [keras.layers.Conv2D(2, 3, activation="relu"), keras.layers.Flatten(), keras.layers.Dense(2)]
    network = keras.Sequential([keras.Input((4, 4, 1)), *layers])
    network.compile("sgd", keras.losses.CategoricalCrossentropy())
    paths = [folder / "model.keras", folder / "model.h5"]
    for path in paths:
        network.save(path)
    with zipfile.ZipFile(paths[0]) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with h5py.File(paths[1]) as file:
        described = file.attrs["model_config"]

    def packed(members):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return file.getvalue()

    def read(path):
        if (data := path.read_bytes()).startswith(b"{"):
            path.write_bytes(packed({**members, "config.json": data}))
        return refuse_code(path, compiled=True)

    valid = [path.read_bytes() for path in paths] + [packed(members), members["config.json"], described.encode()]
    return valid, _of_file("x.keras", read)(folder)


def _requests(client, valid, base_url, headers):
    """Posts path, content type and body, which stand on three lines; a status of 500 is a fault."""

    def read(data):
        from care_tf.errors import InputError

        path, _, rest = data.partition(b"\n")
        kind, _, body = rest.partition(b"\n")
        reply = client.open(
            quote("/" + path.decode("latin-1"), safe="/?=&%"),
            method="GET" if kind.startswith(b"GET") else "POST",
            base_url=base_url,
            data=body,
            headers={**headers, "Content-Type": "".join(filter(str.isprintable, kind.decode("latin-1")))},
        )
        reply.get_data()
        if reply.status_code >= 500:
            raise RuntimeError(f"status {reply.status_code}: {reply.get_data()[:200]!r}")
        if reply.status_code >= 400:
            raise InputError(f"status {reply.status_code}")
        return reply

    return valid, read


def _review(folder):
    from care_tf import files
    from care_tf.boxes.review._app import create_app
    from care_tf.boxes.review.opening import open_review

    files._sync = files._sync_entry = lambda path: None  # the disk is not what is fuzzed
    for name in "ab":
        (folder / f"{name}.png").write_bytes(_image())
    (folder / "m.csv").write_text('image,label,boxes\na.png,x,"[[1, 1, 9, 9]]"\nb.png,x,"[[2, 2, 5, 5]]"\n')
    app = create_app(open_review(folder / "m.csv"), "t")
    app.testing = True
    accepted = json.dumps({"decision": "accept", "boxes": [[1, 1, 9, 9.5]]}).encode()
    valid = [b"t/decisions/0\napplication/json\n" + accepted, b"t/decisions/1\napplication/json\n{}"]
    valid += [b"t/decisions/1\napplication/json\n" + b'{"decision": "reject", "boxes": []}']
    valid += [
        b"t/images/0\nGET\n",
        b"t/values/1\nGET\n",
        b"t/state\nGET\n",
        b"t/page.js\nGET\n",
        b"t/thumbnails/0\nGET\n",
    ]
    host = "http://127.0.0.1:5000"
    return _requests(app.test_client(), valid, host, {"Origin": host, "X-Review-Token": "t"})


def _demo(folder):
    from color_model import ColorModel

    from care_tf.serving._demo_app import create_demo_app
    from care_tf.serving._prediction_service import PredictionService

    app = create_demo_app(PredictionService(ColorModel(), "model"), ("127.0.0.1",))
    app.testing = True
    form = b'--b\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
    parts = [(b"file", b'; filename="a.png"', _image()), (b"class_name", b"", b"green"), (b"pictures", b"", b"1")]
    body = b"".join(form % part for part in parts) + b"--b--\r\n"
    valid = [b"predict\nmultipart/form-data; boundary=b\n" + body, b"predict?class_name=red\nimage/png\n" + _image()]
    valid += [b"predict?pictures=1\nimage/jpeg\n" + _image("RGB", "JPEG"), b"model\nGET\n", b"\nGET\n"]
    return _requests(app.test_client(), valid, "http://127.0.0.1:8600", {})


_COSTLY = {"yolo": 20_000, "isic-masks": 5_000}  # of a class list in YAML, and of masks of the images' size
_FORMATS = {"coco": ".json", "voc": "", "yolo": "", "labelme": "", "createml": ".json", "label-studio": ".json"}
_FORMATS |= {"cvat": ".xml", "rsna": ".csv", "nih": ".csv", "csv": ".csv", "isic-masks": ""}
PARSERS = {
    "manifest": Parser(_manifest, 100_000),
    "configuration": Parser(_config, 20_000),
    "overrides": Parser(_overrides, 10_000),
    **{
        f"boxes: {name}": Parser(_annotations(name, suffix), _COSTLY.get(name, 100_000))
        for name, suffix in _FORMATS.items()
    },
    "ISIC tables": Parser(_isic, 100_000),
    "RSNA tables": Parser(_rsna, 100_000),
    "DICOM": Parser(_dicom, 30_000),
    "image headers": Parser(_headers, 100_000),
    "image pixels": Parser(_pixels, 100_000),
    "masks": Parser(_masks, 100_000),
    "shards": Parser(_shards, 100_000),
    "model files": Parser(_models, 30_000),
    "review requests": Parser(_review, 20_000),
    "serve requests": Parser(_demo, 20_000),
}
"""Name -> parser, in the order of the table."""
