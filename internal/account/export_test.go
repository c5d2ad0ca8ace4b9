package account

// Hashes is how many passwords were worked on so far.
func Hashes() int64 { return hashes.Load() }

// Guessable is what a password is held against.
var Guessable = guessable
