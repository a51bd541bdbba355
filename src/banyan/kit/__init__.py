"""Pure building stones: ids, paging, errors, clock type. No I/O, no product words."""
