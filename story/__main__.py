"""`python -m story` is the `story` command."""

from story.cli import main

main()
