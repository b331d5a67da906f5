"""`truecopy run`: the whole pipeline in the foreground, under one supervisor."""
