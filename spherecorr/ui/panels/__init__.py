"""What is below the pictures: one panel a file."""
