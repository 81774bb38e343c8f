"""What stands below the pictures: one file a tab."""
