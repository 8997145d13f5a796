"""Reports for people: terminal text, Markdown, JUnit, HTML pages and contact sheets."""
