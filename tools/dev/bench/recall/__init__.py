"""`lfr bench recall`: the product beside the naive loop on labelled clips, passage by passage."""
