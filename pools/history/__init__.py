"""What was: minutes, hours and days of checks and of hostnames, packed small; and the bars and figures made of them."""
