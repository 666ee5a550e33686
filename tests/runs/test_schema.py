"""The parameters cell as schema: what it may hold, and how the rest is refused."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys.toy_paper import TOY_CELLS, notebook

from reidrun.runs.errors import ParameterError
from reidrun.runs.schema import (
    TYPES,
    Parameter,
    notebook_schema,
    parse_schema,
    read_value,
    validate,
)

SCHEMA = parse_schema(TOY_CELLS["parameters"])
DEFAULTS = {name: parameter.default for name, parameter in SCHEMA.items()}


def refusal(function, *arguments, **options) -> str:
    with pytest.raises(ParameterError) as caught:
        function(*arguments, **options)
    return str(caught.value)


def test_a_cell_is_read_in_order_with_types_defaults_and_meanings():
    assert list(SCHEMA)[:3] == ["benchmark", "also_on", "data_root"]
    assert SCHEMA["milestones"].kind == list[int]
    assert SCHEMA["learning_rate"].default == 0.1
    assert SCHEMA["epochs"].meaning == "passes over the training images, in [1, inf)"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("epochs = 2", "write `name: type = value"),
        ("print(2)", "is no parameter"),
        ("epochs: int", "no plain value"),
        ("twice: int = 2 * epochs", "no plain value"),
        ("size: tuple = (1, 2)", "type tuple is none of"),
        ("a: int = 1\na: int = 2", "stands twice"),
    ],
)
def test_other_lines_in_the_cell_are_refused(source, words):
    assert words in refusal(parse_schema, source)


def test_a_notebook_needs_one_tagged_cell_whose_defaults_fit(tmp_path):
    path = tmp_path / "paper.ipynb"
    path.write_text(json.dumps(notebook({"other": "1"})))
    assert "0 cells are tagged" in refusal(notebook_schema, path)
    path.write_text(json.dumps(notebook({"parameters": "epochs: int = 0.5"})))
    assert "paper.ipynb: epochs: 0.5 is a float" in refusal(notebook_schema, path)
    path.write_text(json.dumps(notebook(TOY_CELLS)))
    assert notebook_schema(path) == SCHEMA


def test_an_int_is_accepted_for_a_float_and_nothing_else_is_converted():
    assert validate({"learning_rate": 1}, SCHEMA, partial=True) == {"learning_rate": 1}
    for name, value in [("epochs", 1.0), ("epochs", True), ("erasing", 1)]:
        assert "is wanted" in refusal(validate, {name: value}, SCHEMA, partial=True)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("epochs", "many", "epochs: 'many' is a str, an int is wanted"),
        ("learning_rate", True, "learning_rate: True is a bool, a float is wanted"),
        ("learning_rate", float("nan"), "learning_rate: nan is not finite"),
        ("learning_rate", None, "learning_rate: None is a NoneType, a float is wanted"),
        ("milestones", [1, "x"], "milestones[1]: 'x' is a str, an int is wanted"),
        ("milestones", 40, "milestones: 40 is an int, a list[int] is wanted"),
        ("epohcs", 1, "epohcs: unknown parameter; did you mean epochs?"),
        ("zzz", 1, "zzz: unknown parameter"),
    ],
)
def test_a_refusal_names_parameter_value_and_type(name, value, message):
    text = refusal(validate, {name: value}, SCHEMA, partial=True, where="a.yaml")
    assert text.startswith(f"a.yaml: {message}")


@pytest.mark.parametrize(
    ("text", "remedy"),
    [("5e-6", "5.0e-6"), ("1.e3", "1.0e+3"), ("2.5e3", "2.5e+3"), ("-1E4", "-1.0e+4")],
)
def test_numbers_that_yaml_reads_as_text_come_with_the_remedy(text, remedy):
    import yaml

    assert isinstance(yaml.safe_load(text), str)
    assert yaml.safe_load(remedy) == float(text)
    message = refusal(validate, {"learning_rate": text}, SCHEMA, partial=True)
    assert message.endswith(f"YAML reads it as text, write {remedy.replace('E', 'e')}")


@pytest.mark.parametrize(
    ("meaning", "choices", "is_open"),
    [
        ("pixels", [], True),
        ("auto | cpu | cuda", ["auto", "cpu", "cuda"], False),
        ("which centre m_u weighs: old | new", ["old", "new"], False),
        ("compared: all, with captions | visual, without", ["all", "visual"], False),
        ('"" | drawn | imagenet | a file', ["", "drawn", "imagenet"], True),
        ("stand-in | a model, by name or folder", ["stand-in"], True),
        ('prompts learned before, a file; "" learns them', [], True),
    ],
)
def test_a_meaning_names_the_choices(meaning, choices, is_open):
    parameter = Parameter(str, "", meaning)
    assert (parameter.choices, parameter.is_open) == (choices, is_open)
    assert parameter.takes_file == ("a file" in meaning)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"cells": [{}]}', '{"cells": 3}', "[" * 100_000]
)
def test_a_notebook_that_is_none_is_named_with_what_to_do(tmp_path, text):
    path = tmp_path / "paper.ipynb"
    path.write_text(text)
    message = refusal(notebook_schema, path)
    assert "paper.ipynb cannot be read" in message and "from git again" in message


def test_a_value_is_one_of_the_choices_and_so_is_the_default(tmp_path):
    schema = parse_schema(
        "regions: int = 4  # N: 2 | 4\ntower: str = 't'  # t | a file"
    )
    assert validate({"regions": 2, "tower": "x.pt"}, schema)
    message = refusal(validate, {"regions": 3, "tower": "t"}, schema, where="a.yaml")
    assert message == "a.yaml: regions: 3 is none of 2, 4"
    path = tmp_path / "paper.ipynb"
    source = 'mask: str = "on"  # "" | off'
    path.write_text(json.dumps(notebook({"parameters": source})))
    message = refusal(notebook_schema, path)
    assert message.startswith("paper.ipynb: mask: 'on' is none of \"\", off")


@pytest.mark.parametrize(
    ("interval", "inside", "outside"),
    [
        ("[0, 1]", [0, 0.5, 1], [-0.01, 1.01]),
        ("[0, 1)", [0, 0.99], [1, -1e-9]),
        ("(0, inf)", [1e-9, 1e30], [0, -1]),
        ("[-1, 3.5]", [-1, 3.5], [-1.5, 4]),
    ],
)
def test_a_number_lies_in_the_interval_that_its_meaning_ends_in(
    interval, inside, outside
):
    schema = parse_schema(f"rate: float = 0.5  # of what; a share, in {interval}")
    assert schema["rate"].interval == interval
    for value in inside:
        assert validate({"rate": value}, schema) == {"rate": value}
    for value in outside:
        message = refusal(validate, {"rate": value}, schema, where="a.yaml")
        assert message == f"a.yaml: rate is {float(value)}, but must be in {interval}"


def test_every_element_of_a_list_lies_in_the_interval():
    schema = parse_schema("milestones: list[int] = [1]  # epochs, in [1, inf)")
    assert validate({"milestones": [1, 5]}, schema)
    assert validate({"milestones": []}, schema)
    message = refusal(validate, {"milestones": [4, 0]}, schema)
    assert message == "milestones is 0, but must be in [1, inf)"


def test_a_default_lies_in_its_interval(tmp_path):
    path = tmp_path / "paper.ipynb"
    source = "epochs: int = 0  # passes, in [1, inf)"
    path.write_text(json.dumps(notebook({"parameters": source})))
    message = refusal(notebook_schema, path)
    assert message == "paper.ipynb: epochs is 0, but must be in [1, inf)"


@pytest.mark.parametrize(
    ("name", "text"), [("milestones", "[4]"), ("erasing", "true"), ("also_on", "plaza")]
)
def test_text_for_a_list_says_how_papermill_takes_one(name, text):
    message = refusal(validate, {name: text}, SCHEMA, partial=True)
    assert message.endswith(f"; give it to papermill as -y '{name}: {text}'")


def test_all_faults_are_told_at_once():
    message = refusal(validate, {"epochs": "x", "sed": 1}, SCHEMA)
    assert "seed: missing, an int is wanted" in message
    assert "sed: unknown parameter; did you mean seed?" in message
    assert "epochs: 'x' is a str" in message


KINDS = {
    "bool": st.booleans(),
    "int": st.integers(),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "str": st.text(),
    "list[int]": st.lists(st.integers()),
    "list[float]": st.lists(st.floats(allow_nan=False, allow_infinity=False)),
}


@given(st.data(), st.sampled_from(sorted(KINDS)))
def test_what_is_typed_on_the_command_line_is_read_back(data, name):
    value = data.draw(KINDS[name])
    text = str(value).lower() if name == "bool" else str(value)
    assert read_value(text, TYPES[name]) == value


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("many", int, "many"),
        ("yes", bool, "yes"),
        ("station", list[str], ["station"]),
        ("['a', b]", list[str], ["a", "b"]),
        ("[]", list[str], []),
        ("1,x", list[int], [1, "x"]),
        ("[plaza", list[str], "[plaza"),
        ("1, 2]", list[int], "1, 2]"),
    ],
)
def test_what_does_not_fit_stays_text_and_lists_need_no_brackets(text, kind, value):
    assert read_value(text, kind) == value


def test_a_path_that_no_notebook_can_hold_is_refused():
    schema = {"data_root": Parameter(str, "", "a folder")}
    path = os.fsdecode(b"/tmp/we\xffird")
    with pytest.raises(ParameterError, match=r"data_root: '\S+udcff\S+ is not UTF-8"):
        validate({"data_root": path}, schema)
    umlauts = {"data_root": "/tmp/dätä 人"}
    assert validate(umlauts, schema) == umlauts


def test_defaults_of_the_toy_pass():
    assert validate(DEFAULTS, SCHEMA) == DEFAULTS
