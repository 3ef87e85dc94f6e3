"""Small data sets as they are downloaded, and DICOM files, for the tests that read them."""

import csv

from PIL import Image

ISIC2018_CLASSES = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")


def write_table(path, rows):
    """Writes rows, the header first, as a CSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(rows)


def write_isic2018(root, labels, groups, regions, size=(40, 30)):
    """Writes images ISIC_0, ISIC_1, ... of `size` with a label, a lesion and a mask (H,W) uint8 each; returns ids."""
    ids = [f"ISIC_{i}" for i in range(len(labels))]
    truth = "ISIC2018_Task3_Training_GroundTruth"
    one_hot = [
        [name, *(f"{float(label == c)}" for c in ISIC2018_CLASSES)] for name, label in zip(ids, labels, strict=True)
    ]
    write_table(root / truth / f"{truth}.csv", [["image", *ISIC2018_CLASSES], *one_hot])
    lesions = [[name, group, "x"] for name, group in reversed(list(zip(ids, groups, strict=True)))]
    write_table(root / "ISIC2018_Task3_Training_LesionGroupings.csv", [["image", "lesion_id", "how"], *lesions])
    images, masks = root / "ISIC2018_Task3_Training_Input", root / "HAM10000_segmentations_lesion_tschandl"
    images.mkdir()
    masks.mkdir()
    for i, (name, region) in enumerate(zip(ids, regions, strict=True)):
        Image.new("RGB", size, (200 + i, 160, 150)).save(images / f"{name}.jpg")
        Image.fromarray(region).save(masks / f"{name}_segmentation.png")
    return ids


def write_dicom(path, pixels, *, syntax=None, frames=None, **entries):
    """Writes pixels (H,W) as a DICOM file; `frames` are compressed ones to store in their place."""
    from pydicom import uid
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax = syntax or uid.ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = uid.DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.itemsize
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    for name, value in entries.items():
        setattr(dataset, name, value)
    dataset.HighBit = entries.get("HighBit", dataset.BitsStored - 1)
    big = syntax == uid.ExplicitVRBigEndian
    stored = encapsulate(frames) if frames else pixels.astype(pixels.dtype.newbyteorder("<>"[big])).tobytes()
    dataset.PixelData = entries.get("PixelData", stored)
    dataset["PixelData"].VR = "OB" if pixels.itemsize == 1 else "OW"
    dataset.save_as(path, enforce_file_format=True)
    return path
