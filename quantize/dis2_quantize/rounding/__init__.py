"""Where integers are and what range they span: placement, fake quantisation, observers."""
