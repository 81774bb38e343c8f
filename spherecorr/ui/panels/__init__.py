"""The tabs below the pictures, one file each; see `page.Page` for what they are given."""
