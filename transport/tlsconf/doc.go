// Package tlsconf is the one place where TLS is configured, for every transport that uses it, so that what
// holds for one listener holds for all.
//
// A [Server] says who a daemon is and which clients it believes, a [Client] the same from the other side.
// Both speak TLS 1.3 only, and never 0-RTT. A Server reads its files again when they have changed, without
// a restart and without a goroutine: handshakes look, every few seconds at most. Files that cannot be used
// keep a listener closed; those that become so later are reported, and what was in force stays. A change
// ends the sessions that clients may resume, so that nobody outlives its certificate's trust.
//
// [Creds] are what a client's certificate proves: its SANs, one by one and byte for byte, and its
// fingerprint. Its distinguished name counts for nothing.
//
// A [CA] is a private certificate authority in a directory; [Auto] keeps one for a daemon that is given
// nothing else.
package tlsconf
