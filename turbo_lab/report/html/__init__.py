"""HTML pages: one module per page, and the parts they share."""
