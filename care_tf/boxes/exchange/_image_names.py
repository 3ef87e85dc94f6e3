"""Which image of a manifest an annotation file means by a name."""

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from care_tf.boxes.formats.file_names import name_parts, without_suffix
from care_tf.problems import raise_problems

# What Roboflow makes of the name of an exported image: NAME_jpg.rf.<32 digits>, with "-" for whatever is no letter.
_ROBOFLOW = re.compile(r"(?P<name>.+?)(_(?P<suffix>jpe?g|png|bmp|tiff?|webp|gif))?\.rf\.[0-9a-f]{32}", re.IGNORECASE)
_NO_LETTERS = re.compile(r"\W+")
_UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")  # what Label Studio puts in front of an uploaded file's name
_MAX_LISTED = 4  # names within one problem


class _Fit(NamedTuple):
    """How well a name fits an image, compared entry by entry."""

    same_path: int  # 2 with the suffix, 1 but for the suffix, 0
    num_common_folders: int  # from the right
    same_file_name: bool

    @property
    def by_folders(self) -> bool:
        return self.same_path > 0 or self.num_common_folders > 0


def match_image_names(
    names: Sequence[str], image_paths: Sequence[str], *, roots: Sequence[str] = (), where: str = "the annotation file"
) -> list[int | None]:
    """Finds the image of every name.

    The first rule by which a name fits an image decides: (1) the same path, absolute or relative to a root; (2) the
    most folders in common from the right, at least one; (3) the same file name; (4) the same but for the suffix;
    (5) the same but for the eight digits that Label Studio puts in front; (6) the same but for what Roboflow makes of
    it, whatever the folders, since Roboflow deals images to folders of its own. In 3 to 5 the name must be alone of its
    kind in the annotation file too, lest the images of another patient lend their boxes; in 6 there may be several
    copies of an image. Back slashes are slashes, and the two Unicode spellings of an accent are one.

    Args:
      names: Names or paths as the annotation file writes them, of any system.
      image_paths: The images' absolute paths.
      roots: Folders that `names` may be relative to.
      where: The annotation file, for messages.

    Returns:
      A position in `image_paths` for every name; None where there is none. Only copies of Roboflow's share one.

    Raises:
      InputError: A name fits several images equally well, or an image several names: up to 20 are listed.
    """
    wanted = [_parts(name) for name in names]
    images = [_parts(path) for path in image_paths]
    spellings = [
        [parts, *(_parts(os.path.relpath(path, root)) for root in roots)]
        for parts, path in zip(images, image_paths, strict=True)
    ]
    of_stem: dict[str, list[int]] = defaultdict(list)
    of_letters: dict[str, list[int]] = defaultdict(list)
    for i, parts in enumerate(images):
        of_stem[_stem(parts)].append(i)
        of_letters[_NO_LETTERS.sub("-", _stem(parts))].append(i)
    found: list[int | None] = [None] * len(names)
    problems, undecided, copies = [], [], set()
    num_of_kind = Counter(kind for parts in wanted for kind in _kinds(parts))
    for place, parts in enumerate(wanted):
        candidates = of_stem.get(_stem(parts)) or of_stem.get(_upload_stem(parts)) or []
        if not candidates and (exported := _ROBOFLOW.fullmatch(_stem(parts))):
            originals = of_letters.get(_NO_LETTERS.sub("-", exported["name"]), [])
            suffix = f".{exported['suffix']}".lower()
            originals = [i for i in originals if images[i][-1].lower().endswith(suffix)] or originals
            if len(originals) > 1:
                problems.append(f"{names[place]} fits {_listed(image_paths[i] for i in originals)}; rename one of them")
            elif originals:
                found[place] = originals[0]
                copies.add(place)
            continue
        fits = {i: _fit(parts, spellings[i], images[i]) for i in candidates}
        if not fits:
            continue
        best_fit = max(fits.values())
        best = [i for i, fit in fits.items() if fit == best_fit]
        kind = _kinds(parts)[0 if best_fit.same_file_name else 1]
        if not best_fit.by_folders and num_of_kind[kind] > 1:
            undecided.append((kind, place, best))
        elif len(best) > 1:
            problems.append(f"{names[place]} fits {_listed(image_paths[i] for i in best)}; write its folder")
        else:
            found[place] = best[0]
    problems += _ambiguous_kinds(undecided, wanted, found, names, image_paths)
    problems += _shared_images(found, copies, names, image_paths)
    raise_problems(where, problems)
    return found


def common_folder(paths: Sequence[str]) -> str:
    """The deepest folder that holds all files; "" where there is none, as on two Windows drives, or no file.

    Example:
      >>> common_folder(["/data/train/a.jpg", "/data/test/b.jpg"])
      '/data'
    """
    try:
        return os.path.commonpath([os.path.dirname(path) for path in paths])
    except ValueError:
        return ""


def _fit(parts: tuple[str, ...], spellings: list[tuple[str, ...]], image: tuple[str, ...]) -> _Fit:
    same_path = 2 if parts in spellings else int(_bare(parts) in [_bare(spelling) for spelling in spellings])
    folders = list(zip(reversed(parts[:-1]), reversed(image[:-1]), strict=False))
    differing = [count for count, (one, other) in enumerate(folders) if one != other]
    return _Fit(same_path, differing[0] if differing else len(folders), parts[-1] == image[-1])


def _ambiguous_kinds(undecided, wanted, found, names, image_paths) -> list[str]:
    """Names of one kind, none of which has an image of its own; with one that has, the others are other images."""
    decided = {kind for parts, i in zip(wanted, found, strict=True) if i is not None for kind in _kinds(parts)}
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    images_of = {}
    for kind, place, best in undecided:
        if kind not in decided:
            groups[kind].append(place)
            images_of[kind] = best
    return [
        f"{_listed(names[place] for place in places)} all fit {_listed(image_paths[i] for i in images_of[kind])}; "
        "write their folders as in the manifest"
        for kind, places in groups.items()
    ]


def _shared_images(found, copies, names, image_paths) -> list[str]:
    places_of: dict[int, list[int]] = defaultdict(list)
    for place, i in enumerate(found):
        if i is not None:
            places_of[i].append(place)
    return [
        f"{_listed(names[place] for place in places)} are the same image {image_paths[i]}; keep one of them"
        for i, places in places_of.items()
        if len(places) > 1 and not copies.issuperset(places)
    ]


def _parts(path: str) -> tuple[str, ...]:
    return name_parts(unicodedata.normalize("NFC", path))


def _bare(parts: tuple[str, ...]) -> tuple[str, ...]:
    return (*parts[:-1], _stem(parts))


def _stem(parts: tuple[str, ...]) -> str:
    return without_suffix(parts[-1]) if parts else ""


def _upload_stem(parts: tuple[str, ...]) -> str:
    return _UPLOAD_PREFIX.sub("", _stem(parts))


def _kinds(parts: tuple[str, ...]) -> list[tuple[str, str]]:
    """What names of one kind share: the file name, or what is left of it without suffix and prefix."""
    return [("file name", parts[-1] if parts else ""), ("stem", _upload_stem(parts))]


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return ", ".join(names[:_MAX_LISTED]) + more
