"""The documentation, and the program that makes its pictures: `python -m docs.make_pictures`."""
