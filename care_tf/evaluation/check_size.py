"""How many images of each class are predicted again, their lesion blurred out, where nobody says how many."""

CHECK_IMAGES = 50
