"""Archives of images as data sets: their members and labels, and their preparation for the input of a model."""
