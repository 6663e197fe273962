"""The command `lvc` and its subcommands."""
