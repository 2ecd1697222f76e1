"""Pages are inert XML, whatever stands in them."""

from xml.etree import ElementTree

import pytest

from artifex.core.report import embedded_image, page, read_json, shown_file, table, text

HOSTILE = '<script>alert(1)</script>" & \x00 ]]>'


def test_a_page_is_xml_and_hostile_text_stays_text():
    made = page(HOSTILE, "", {HOSTILE: table((HOSTILE,), [(HOSTILE,), (1.5,), (2000,)]), "Empty": ""})
    root = ElementTree.fromstring(made.removeprefix("<!DOCTYPE html>\n"))
    assert "Empty" not in made
    assert not list(root.iter("{http://www.w3.org/1999/xhtml}script"))
    assert "2,000" in made
    assert text("\x00") == "\ufffd"


@pytest.mark.parametrize(
    ("name", "content", "shown"),
    [
        ("a.png", b"123", "data:image/png;base64,MTIz"),
        ("a.txt", b"<hello>", "&lt;hello&gt;"),
        ("a.bin", b"123", "a.bin, 3 bytes"),
    ],
)
def test_files_are_shown_as_what_they_are(tmp_path, name, content, shown):
    (tmp_path / name).write_bytes(content)
    assert shown in shown_file(tmp_path / name, "caption", "alt")


def test_an_image_and_what_is_no_object(tmp_path):
    assert 'alt="&lt;a&gt;"' in embedded_image(b"1", "png", "<a>")
    (tmp_path / "x").write_text("[1]")
    assert read_json(tmp_path / "x") == {}
    assert read_json(tmp_path / "nothing") == {}
