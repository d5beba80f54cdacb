from __future__ import annotations

import re

import pytest
from model_shelf import Heard

from story.core.errors import WeightsError
from story.providers.local.catalogue import HttpSource, NpmSource, PipSource, load, parse
from story.providers.local.store import default_store


def test_every_source_is_pinned_and_every_sum_is_one() -> None:
    for model in load().models.values():
        assert model.licence and model.homepage.startswith("https://")
        for file in model.files:
            assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
            assert file.size == sum(piece.size for piece in file.pieces)
            assert bool(file.sources) is (model.packaged is None)
            for source in file.sources:
                match source:
                    case HttpSource():
                        assert source.url.startswith("https://")
                        assert re.search(r"/resolve/[0-9a-f]{40}/|/releases/download/", source.url)
                    case PipSource():
                        assert all(re.fullmatch(r"[a-z0-9.-]+==[0-9.]+", part.package) for part in source.parts)
                    case NpmSource():
                        assert re.fullmatch(r"[a-z-]+@[0-9.]+", source.package)


def test_the_official_file_comes_first() -> None:
    for model in load().models.values():
        for file in model.files:
            if file.sources:
                assert isinstance(file.sources[0], HttpSource)
                assert len(file.sources) > 1


def test_an_unknown_model_gets_the_nearest_name() -> None:
    with pytest.raises(WeightsError, match=r"unknown on-device model 'kokorro' \(did you mean kokoro\?\)"):
        load().get("kokorro")


def test_parts_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ValueError, match="do not add up"):
        parse(
            """
            [toy]
            title = "Toy"
            purpose = "tests"
            licence = "MIT"
            homepage = ""
            [[toy.files]]
            name = "weights.bin"
            size = 3
            sha256 = "00"
            sources = [{ pip = [{ package = "a==1", member = "a", size = 2, sha256 = "00" }] }]
            """
        )


@pytest.mark.weights("moonshine-tiny-en", "hibari")
@pytest.mark.parametrize("name", ["moonshine-tiny-en", "hibari"])
def test_packaged_weights_are_those_of_the_catalogue(name: str, progress: Heard) -> None:
    assert default_store().verify(name, progress) == []
