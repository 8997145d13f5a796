"""What each command does, a module an area: arguments in, a document and an exit code out."""
