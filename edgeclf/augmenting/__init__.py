"""Write changed copies of pictures, for whoever wants files."""
