"""Words that every stage of dis2-edge shares: sensors, tasks, scenarios, data sets, recipes, bundles, scores.

This floor imports NumPy and Pillow only. It must load on a board, where there is no torch.
"""

__version__ = "0.1.0"
