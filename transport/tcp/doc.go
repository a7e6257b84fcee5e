// Package tcp is the transport for daemons that are commanded from other machines: TCP with TLS 1.3
// and client certificates.
//
// A conn is a connection, a frame is a JSON value in its stream of bytes. A peer is who its
// certificate says, name by name ([tlsconf.Cert], [tlsconf.Fingerprint]); without one there is no
// conn. A peer that closes its half of the connection can still read; only a reset or a failed write
// means that it has left.
//
// A listener without TLS must be told in so many words that it may be (Insecure), opens on loopback
// only, and must say for what its peers pass (Anonymous), since nothing there can prove anything.
package tcp
