// Package secrets keeps passwords and tokens at rest, and verifies what clients claim.
//
// [Users] is a file of names with their roles and argon2id hashes, [Tokens] one of tokens with their
// roles, ends and SHA-256 sums. Both are text, one line for each, with comments; both are 0600, and
// replaced as a whole whenever they change, so that neither a reader nor a crash ever meets half of
// one. A program that has one open notices within a second what another, or an editor, has changed.
//
//	# NAME ROLE HASH
//	ann operator $argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2Fs$…
//
//	# ID ROLE EXPIRES SHA-256
//	ci monitor 2027-01-01T00:00:00Z 9f86d081884c7d659a2feaa0c55ad015…
//
// [Authenticator] verifies a [transport.Claim] against both. It bounds the cost of claims, and slows down
// guessers.
//
// What a role allows is not said here: see package access.
package secrets
