"""Documents for people: tables, contact sheets. Plain dicts and images in."""
