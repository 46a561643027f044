"""House rules: each breach is named with its place, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.dev.gate.house import FILE_LINES, FUNCTION_LINES, breaches_in


def breaches(tmp_path: Path, **sources: str) -> list[str]:
    """Breaches in some sources; `device__x` stands for device/x.py."""
    files = {}
    for key, source in sources.items():
        name = key.replace("__", "/") + ".py"
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
        files[name] = path
    return list(breaches_in(files))


def test_a_sound_module_has_no_breach(tmp_path: Path) -> None:
    source = "def f(n: int) -> int:\n    import cv2\n\n    return int(cv2.something(n))\n"
    assert breaches(tmp_path, device__x=source) == []


def test_a_file_over_the_limit_is_named(tmp_path: Path) -> None:
    assert breaches(tmp_path, device__x="a = 1\n" * FILE_LINES) == []
    (breach,) = breaches(tmp_path, device__x="a = 1\n" * (FILE_LINES + 1))
    assert breach.startswith("device/x.py:1: 401 lines")


def test_a_function_over_the_limit_is_named_also_inside_a_class(tmp_path: Path) -> None:
    def method(lines: int) -> str:
        return "class C:\n    async def long(self) -> None:\n" + "        a = 1\n" * (lines - 1)

    assert breaches(tmp_path, device__x=method(FUNCTION_LINES)) == []
    (breach,) = breaches(tmp_path, device__x=method(FUNCTION_LINES + 1))
    assert breach.startswith("device/x.py:2: long has 61 lines")


def test_a_vendor_library_at_the_top_is_named(tmp_path: Path) -> None:
    (breach,) = breaches(tmp_path, device__x="from paho.mqtt import client\n")
    assert breach == "device/x.py:1: paho is imported at the top of a module; import it where it is used"


def test_a_vendor_import_in_a_top_level_try_is_still_at_the_top(tmp_path: Path) -> None:
    assert len(breaches(tmp_path, device__x="try:\n    import cv2\nexcept ImportError:\n    raise\n")) == 1


def test_an_import_for_the_type_checker_alone_does_not_count(tmp_path: Path) -> None:
    source = "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    import av\n"
    assert breaches(tmp_path, device__x=source) == []


def test_two_modules_of_one_part_may_not_share_a_vendor(tmp_path: Path) -> None:
    late = "def f() -> None:\n    import av\n"
    assert breaches(tmp_path, device__edges__x=late, tools__clip__y=late, tools__bench__z=late) == []
    (breach,) = breaches(tmp_path, device__edges__x=late, device__edges__y=late)
    assert breach == "device/edges: av is imported by device/edges/x.py, device/edges/y.py; one module of a part may"


def test_a_plug_in_that_the_vendor_loads_may_import_it_at_the_top(tmp_path: Path) -> None:
    late = "def f() -> None:\n    import gpiozero\n"
    assert (
        breaches(tmp_path, device__edges__gpio__jetson_factory="import gpiozero\n", device__edges__gpio__pins=late)
        == []
    )


@pytest.mark.parametrize("text", ["https://" + "pypi." + "org", "/" + "work/main", "http://deb." + "debian.org"])
def test_a_registry_or_a_place_of_one_machine_is_named(tmp_path: Path, text: str) -> None:
    assert len(breaches(tmp_path, tools__x=f"PLACE = '{text}'\n")) == 1


def test_ordinary_paths_with_work_in_them_are_accepted(tmp_path: Path) -> None:
    assert (
        breaches(tmp_path, tools__x="A = 'network/work/x'\nB = 'https://json-schema.org/draft/2020-12/schema'\n") == []
    )


@pytest.mark.parametrize("mark", ["pytest.mark.skip", "pytest.mark.skipif", "pytest.mark.xfail", "pytest.importorskip"])
def test_a_skip_is_named_except_where_hardware_is_tested(tmp_path: Path, mark: str) -> None:
    source = f"import pytest\n\nX = {mark}\n"
    assert len(breaches(tmp_path, tests__unit__test_x=source)) == 1
    assert breaches(tmp_path, tests__gpu__test_x=source) == []


@pytest.mark.parametrize("comment", ["# noqa: E501", "# type: ignore[arg-type]", "# TODO: later"])
def test_an_exemption_or_a_note_of_unfinished_work_is_named(tmp_path: Path, comment: str) -> None:
    assert len(breaches(tmp_path, device__x=f"A = 1  {comment}\n")) == 1


def test_the_same_text_in_a_string_is_accepted(tmp_path: Path) -> None:
    assert breaches(tmp_path, device__x="A = '# noqa'\n") == []


@pytest.mark.parametrize("source", ["A = (*('a', 'b'), 'c')\n", "print(*['a', 'b'])\n"])
def test_values_that_are_packed_only_to_be_unpacked_are_named(tmp_path: Path, source: str) -> None:
    assert len(breaches(tmp_path, device__x=source)) == 1
    assert breaches(tmp_path, device__x="A = (1, 2)\nB = (*A, *(n for n in A))\n") == []


def test_a_folder_of_three_modules_without_a_readme_is_named(tmp_path: Path) -> None:
    three = {f"device__part__{name}": "A = 1\n" for name in ("a", "b", "c")}
    assert breaches(tmp_path, **three) == [
        "device/part: 3 modules and no README.md; say what is here and how to add one"
    ]
    assert breaches(tmp_path, device__part__a="A = 1\n", device__part__b="A = 1\n") == []
    readme = tmp_path / "device/part/README.md"
    readme.write_text("# part\n")
    files = {f"device/part/{name}.py": tmp_path / f"device/part/{name}.py" for name in ("a", "b", "c")}
    assert list(breaches_in({**files, "device/part/README.md": readme})) == []
    assert breaches(tmp_path, tests__unit__a="A = 1\n", tests__unit__b="A = 1\n", tests__unit__c="A = 1\n") == []
