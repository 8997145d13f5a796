"""Memory of a project: figures by commit, their changes, and other tools' formats."""
