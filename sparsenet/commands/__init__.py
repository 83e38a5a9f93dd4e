"""The engine's own subcommands, one file each; ``sparsenet.cli`` finds them through entry points."""
