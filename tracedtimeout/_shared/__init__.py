"""Code that several rooms of the package need, and that none of them owns."""
