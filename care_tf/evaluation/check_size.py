"""How many images of each class are predicted again, their lesion hidden, where nobody says how many."""

CHECK_IMAGES = 50
