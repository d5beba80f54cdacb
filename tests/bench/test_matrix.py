"""Which stacks a matrix comes to."""

from __future__ import annotations

from pathlib import Path

import pytest

from story.bench.asked import request_of
from story.bench.command import BenchGroup
from story.bench.matrix import Matrix, choices_of, rule_of
from story.bench.request import Request
from story.core.errors import ConfigError

MATRIX = """
stt = ["deepgram", "local"]
llm = "gpt4o-mini"
tts = ["cartesia", "elevenlabs"]
realtime = ["openai-realtime"]
stacks = ["local"]
exclude = [{ stt = "local", tts = "elevenlabs" }]
repetitions = 3
places = ["callers"]
emulate = { profile = "baseline" }
transport = "web"
"""


def test_the_product_each_realtime_model_and_whole_stacks() -> None:
    matrix = Matrix(stt=("a", "b"), llm=("c",), tts=("d", "e"), realtime=("r", "r+tts=d"), stacks=("local", "local"))
    assert matrix.specs() == (
        "stt=a+llm=c+tts=d", "stt=a+llm=c+tts=e", "stt=b+llm=c+tts=d", "stt=b+llm=c+tts=e",
        "realtime=r", "realtime=r+tts=d", "local",
    )  # fmt: skip


def test_roles_that_are_left_open_stay_open() -> None:
    assert Matrix(stt=("a",)).specs() == ("stt=a",)


def test_rules() -> None:
    both = rule_of("stt=a,tts=d")
    assert Matrix(stt=("a", "b"), tts=("d",), exclude=(both,)).specs() == ("stt=b+tts=d",)
    assert Matrix(stt=("a", "b"), tts=("d",), include=(both,), stacks=("s",)).specs() == ("stt=a+tts=d", "s")


def test_a_comma_in_quotes_is_part_of_a_name() -> None:
    assert choices_of('a, "x/y,z":en ,,b') == ("a", '"x/y,z":en', "b")


def test_a_file_and_options_that_win_over_it(tmp_path: Path) -> None:
    path = tmp_path / "matrix.toml"
    path.write_text(MATRIX)
    request = request_of({"repetitions": 1}, path)
    assert request.stacks == (
        "stt=deepgram+llm=gpt4o-mini+tts=cartesia", "stt=deepgram+llm=gpt4o-mini+tts=elevenlabs",
        "stt=local+llm=gpt4o-mini+tts=cartesia", "realtime=openai-realtime", "local",
    )  # fmt: skip
    assert request.transport == "web"
    assert request.repetitions == 1 and request.places == (str(tmp_path / "callers"),)
    assert type(request).from_dict(request.as_dict()) == request


def test_files_are_found_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    emulate = {"brain": "script.toml", "heard": "clips/heard.json", "profile": "typical"}
    given = {"stt": "deepgram", "places": [Path("callers")], "prices": [Path("p.toml")], "chain": "door.toml"}
    request = request_of({**given, "emulate": emulate}, None)
    assert request.places == (str(tmp_path / "callers"),) and request.prices == (str(tmp_path / "p.toml"),)
    assert request.chain == str(tmp_path / "door.toml")
    clips = str(tmp_path / "clips" / "heard.json")
    assert request.emulate == {"brain": str(tmp_path / "script.toml"), "heard": clips, "profile": "typical"}
    assert request_of({"stt": "deepgram", "chain": "storyteller"}, None).chain == "storyteller"


def test_files_of_a_matrix_are_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "m.toml").write_text(
        'stt = ["deepgram"]\nemulate = { brain = "script.toml", heard = "none", profile = "own.toml" }'
    )
    request = request_of({}, Path("bench/m.toml"))
    beside = tmp_path / "bench"
    assert request.emulate == {
        "brain": str(beside / "script.toml"), "heard": "none", "profile": str(beside / "own.toml")
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("emulate = { brain = 1 }", "emulate.brain: is a name, or a file"),
        ("sst = []", r"m.toml:1: sst: unknown key 'sst' \(did you mean stt"),
        ("stt = [1]", "stt: is a list of models"),
        ("stt = []\n\nrepetitions = 0", "m.toml:3: repetitions: is a whole number of at least 1"),
        ("caller_voice = 1", "caller_voice: is a tts"),
        ("warm_up = true", "is a whole number of at least 0"),
        ('exclude = [{ sst = "a" }]', "exclude: unknown role 'sst'"),
        ("exclude = [1]", "exclude: is a list of tables"),
        ("emulate = { profil = 1 }", r"emulate.profil: unknown key 'profil' \(did you mean profile"),
        ('transport = "wbe"', "m.toml:1: transport: is one of process, web, livekit"),
        ("stt =", "not valid TOML"),
    ],
)
def test_a_file_that_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "m.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        request_of({}, path)


def test_stacks_takes_all_words_up_to_the_next_option(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr("story.plain.PlainGroup.parse_args", lambda self, ctx, args: seen.extend(args))
    BenchGroup.parse_args(BenchGroup(name="bench"), None, ["--stt", "x", "--stacks", "a", "b+c", "--dry-run", "y"])
    assert seen == ["--stt", "x", "--stacks", "a", "--stacks", "b+c", "--dry-run", "y"]


@pytest.mark.parametrize(
    ("emulate", "takes_cores"), [({}, False), ({"brain": "local"}, True), ({"speech": "local"}, True)]
)
def test_calls_have_the_machine_to_themselves_only_where_its_own_models_stand_in(
    emulate: dict[str, str], takes_cores: bool
) -> None:
    stand_ins = Request(stacks=("deepgram+gpt4o-mini+cartesia",), emulate=emulate).stand_ins()
    assert stand_ins is not None and stand_ins.takes_cores is takes_cores
