"""The language of the house: nouns, commands, events, failures and money. Knows no vendor and no machinery."""
