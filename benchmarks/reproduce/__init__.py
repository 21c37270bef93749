"""`make reproduce`: the table of comparisons, trained run by run, judged, and written from saved counts."""
