"""Other people's XML, read through defusedxml only, and XML of our own."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree  # for elements and for writing: nothing is parsed with it

from care_tf.errors import InputError
from care_tf.text_files import read_bytes

# XML 1.0 cannot hold these, not even escaped.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


def parse_xml(contents: bytes, where: str) -> ElementTree.Element:
    """The root element; `where` is the file, for messages.

    The contents are bytes, for the declaration in them may name an encoding. Document types are refused altogether:
    annotation files have none, and they are what entity bombs and external entities need.
    """
    import defusedxml
    import defusedxml.ElementTree

    try:
        return defusedxml.ElementTree.fromstring(contents, forbid_dtd=True)
    except defusedxml.DefusedXmlException as error:
        raise InputError(f"{where} has a document type or entities, maybe an attack. Save it without them.") from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise InputError(f"{where} is not XML: {error}.") from error


def read_xml(path: str | os.PathLike) -> ElementTree.Element:
    """The root element of a file; errors as in `parse_xml`."""
    return parse_xml(read_bytes(path), str(path))


def child_text(element: ElementTree.Element, path: str) -> str | None:
    """The stripped text of the first descendant at `path`; None where there is none or it is blank."""
    found = element.findtext(path)
    return found.strip() or None if found is not None else None


def add_children(parent: ElementTree.Element, children: Sequence[tuple[str, object]]) -> None:
    """Appends elements that hold nothing but text."""
    for tag, value in children:
        ElementTree.SubElement(parent, tag).text = str(value)


def write_xml(root: ElementTree.Element, path: Path) -> None:
    """Writes an indented UTF-8 file with a declaration; refuses a control character, which XML has no way to write."""
    for element in root.iter():
        for value in (element.text or "", *element.attrib.values()):
            if _FORBIDDEN.search(value):
                raise InputError(f"XML cannot hold the control characters of {value!r}; rename the image or the label.")
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
