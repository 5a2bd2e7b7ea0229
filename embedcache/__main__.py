"""`python -m embedcache`: the command line."""

from embedcache.cli.main import main

main()
