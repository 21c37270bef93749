"""The verbs that act on data and training: each module is imported only when its verb was typed."""
