// Package tlsconf makes the TLS configurations of all transports, so that the same rules hold for each of them.
//
// A daemon fills in a [Server] and gives it to its listeners; a client fills in a [Client] and gives it to its dialers.
// Both name PEM files. A daemon without certificates calls [Auto], which makes a private CA with a certificate for the
// daemon and one for its first client. A [CA] issues further certificates and revokes them.
//
// Only TLS 1.3 is used, without 0-RTT. A Server reads its files again when they have changed, without a restart. There is
// no goroutine for that: handshakes check the files, at most once in CheckEvery. A listener does not open with files that
// cannot be used. When files become unusable later, the Server reports the error and continues with the previous content.
// After each change, clients cannot resume their sessions; so no session is longer valid than its certificate.
//
// The credentials of a client ([Creds]) are the DNS names and URIs in its certificate, byte for byte, and the fingerprint
// of the certificate. The distinguished name is not used.
package tlsconf
