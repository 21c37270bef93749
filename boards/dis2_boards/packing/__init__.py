"""From a quantised run to a signed bundle: models, kernels, goldens, locks of wheels, licences, parts list."""
