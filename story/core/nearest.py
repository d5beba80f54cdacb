"""Near-miss hints for names that don't exist."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], *, count: int = 2) -> list[str]:
    """The known names that look most like `name`, best first; none where nothing comes close."""
    import difflib  # only errors pay for it

    folded: dict[str, str] = {}
    for candidate in known:
        folded.setdefault(candidate.lower(), candidate)
    return [folded[match] for match in difflib.get_close_matches(name.lower(), folded, n=count, cutoff=0.6)]


def did_you_mean(name: str, known: Iterable[str], *, otherwise: str = "") -> str:
    """ " (did you mean x or y?)", or `otherwise` where no name comes close."""
    names = nearest(name, known)
    return f" (did you mean {' or '.join(names)}?)" if names else otherwise
