"""Effects: each module speaks to one outside thing, knows no other and no resource of ours."""
