"""Options from the fields of settings' dataclasses."""

import argparse
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import pytest

from spherecorr.cli.base import Parser
from spherecorr.cli.flags import add_flags, attribute_texts, given
from spherecorr.evaluation.settings import EvaluationSettings
from spherecorr.matching.settings import MatchSettings
from spherecorr.pipelines.settings import Models
from spherecorr.render.settings import RenderSettings
from spherecorr.sphere.settings import SphereSettings
from spherecorr.store_settings import StoreSettings
from spherecorr.training.pretrain_settings import PretrainSettings
from spherecorr.training.settings import TrainSettings


@dataclass(frozen=True)
class Oven:
    """How to bake.

    Attributes:
        degrees: temperature; 5 % more
            on mountains. A second sentence that the help leaves out.
        minutes: time in the oven. None: until it is brown; look often.
        heat: from where.
        racks: racks to use.
        fan: switch the fan on.
        recipe: where it is written down. None: in the cook's head.
        cook: who is asked.
    """

    degrees: float = 180.0
    minutes: int | None = None
    heat: Literal["above", "below"] = "below"
    racks: tuple[int, ...] = (1, 3)
    fan: bool = False
    recipe: Path | None = None
    cook: str = "me"


@pytest.fixture
def parse():
    """Parse some arguments by an Oven's options."""

    def parse(*arguments: str, **choices) -> argparse.Namespace:
        parser = Parser("bake")
        add_flags(parser, Oven, **choices)
        return parser.parse_args(arguments)

    return parse


def oven(options: argparse.Namespace) -> Oven:
    return Oven(**given(options, Oven))


def test_nothing_given_is_the_dataclass_own_default(parse):
    assert given(parse(), Oven) == {} and oven(parse()) == Oven()


def test_every_type_is_read(parse):
    arguments = "--degrees 220.5 --minutes 40 --heat above --racks 2,4 --fan --recipe cake.txt --cook you"
    expected = Oven(220.5, 40, "above", (2, 4), True, Path("cake.txt"), "you")
    assert oven(parse(*arguments.split())) == expected


def test_zero_is_given_too(parse):
    assert given(parse("--minutes", "0"), Oven) == {"minutes": 0}


def test_fields_are_chosen_and_renamed(parse):
    options = parse("--rack", "2", only=("racks", "fan"), skip=("fan",), rename={"racks": "rack"})
    assert vars(options) == {"racks": (2,)} and given(options, Oven) == {"racks": (2,)}
    assert given(options, Oven, skip=("racks",)) == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--minutes", "x"], "argument --minutes: invalid int value: 'x'"),
        (["--heat", "left"], "argument --heat: invalid choice: 'left'"),
        (["--racks", "1,x"], "argument --racks: racks are written as 1,3; got '1,x'"),
    ],
)
def test_other_values_are_refused(parse, capsys, arguments, message):
    with pytest.raises(SystemExit):
        parse(*arguments)
    assert message in capsys.readouterr().err


def test_the_help_is_the_docstrings(parse, capsys):
    with pytest.raises(SystemExit):
        parse("--help", shown={"cook": "whoever is at home"})
    said = " ".join(capsys.readouterr().out.split())
    for part in (
        "--degrees X temperature; 5 % more on mountains (default: 180.0)",
        "--minutes N time in the oven (default: until it is brown)",
        "--heat {above,below} from where (default: below)",
        "--racks N,... racks to use (default: 1,3)",
        "--fan switch the fan on --",  # a switch has no default to tell
        "--recipe PATH where it is written down (default: in the cook's head)",
        "--cook COOK who is asked (default: whoever is at home)",
    ):
        assert part in said, part
    assert "second sentence" not in said


@dataclass
class Unfit:
    """Settings without a form on the command line.

    Attributes:
        values: by name.
    """

    values: dict[str, int]


def test_a_field_without_a_form_is_no_option():
    with pytest.raises(TypeError, match="no form of an option for the field values"):
        add_flags(Parser("bake"), Unfit)


ALL = (EvaluationSettings, MatchSettings, Models, PretrainSettings, RenderSettings, SphereSettings, StoreSettings)


@pytest.mark.parametrize("settings", [*ALL, TrainSettings], ids=lambda settings: settings.__name__)
def test_every_setting_is_documented(settings):
    texts = attribute_texts(settings)
    assert list(texts) == [field.name for field in fields(settings)]
    assert all(text.endswith(".") for text in texts.values())
