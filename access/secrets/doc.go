// Package secrets stores passwords and tokens in files, and verifies the claims of clients.
//
// To use it: open the files with [OpenUsers] and [OpenTokens], and give an [Authenticator] with both to the transports.
// The credentials that it returns are a [User] or a [Token]. Package access maps their roles to commands.
//
// [Users] is a file of names with their roles and argon2id hashes. [Tokens] is a file of tokens with their roles,
// expiry times and SHA-256 sums. Both are text files with one line for each, and may have comments. Their mode is
// 0600. A change replaces the whole file atomically, so neither a reader nor a crash ever sees a part of a change. A
// program that has a file open reads a change by another program, or by an editor, within a second.
//
//	# NAME ROLE HASH
//	ann operator $argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2Fs$…
//
//	# ID ROLE EXPIRES SHA-256
//	ci monitor 2027-01-01T00:00:00Z 9f86d081884c7d659a2feaa0c55ad015…
//
// [Authenticator] verifies a [transport.Claim] against both files. It bounds the cost of claims, and limits how fast an
// address can guess.
package secrets
