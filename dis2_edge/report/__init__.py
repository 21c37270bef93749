"""Reports: report.json holds what was measured, report.html shows it to people without any request to a network."""
