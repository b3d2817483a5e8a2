"""One page that says how good a model is, for people: report and model card in one."""
