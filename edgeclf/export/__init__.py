"""`edgeclf export`: a model as C source for microcontrollers."""
