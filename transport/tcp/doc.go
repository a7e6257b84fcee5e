// Package tcp is the transport over TCP with TLS 1.3 and client certificates. It is for daemons that are managed from
// other machines.
//
// A daemon sets Address and TLS of a [Transport] and calls [Transport.Listen]. A client sets Address and Client and calls
// [Transport.Dial]. Each TCP connection is one conn, and a frame is one JSON value in its stream of bytes.
//
// The credentials of a client are the names in its certificate ([tlsconf.Cert]) and the certificate's fingerprint
// ([tlsconf.CertSHA256]). A client without a certificate is refused. The credential of a daemon is the fingerprint of its
// certificate.
//
// A peer that closes its writing half still receives replies. The conn's context ends only after a reset or a failed
// write. When a conn is closed, the connection is read for up to 2 s more, so that the peer receives all replies.
//
// A listener without TLS must have Insecure, opens on loopback addresses only, and must have Anonymous, because its
// clients can prove nothing.
package tcp
