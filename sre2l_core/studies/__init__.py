"""What notebooks look at more closely: crops, a classroom of students, the live map, a network's mistakes."""
