"""One file per section of the page: from the cells' results to tables and pictures."""
