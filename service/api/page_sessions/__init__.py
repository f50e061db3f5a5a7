"""Page sessions over HTTP: sign in, see who is signed in, sign out."""
