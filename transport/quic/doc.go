// Package quic is the transport over QUIC (RFC 9000). It runs over UDP with TLS 1.3. Each conn is a bidirectional stream of
// one encrypted connection. So a long reply on one conn delays no other conn, and a lost packet delays only the conns
// whose bytes it had.
//
// A daemon sets Address and TLS of a [Transport] and calls [Transport.Listen]. A client sets Address and Client and calls
// [Transport.Dial] for each conn. The conns of one Transport share a connection. Peer.Session names that connection, and is
// the same for all its conns. The daemon sees a stream only after the client has sent something on it.
//
// A client must have a certificate of the daemon's client CA; otherwise the handshake fails. Its credentials are those of
// package tlsconf. 0-RTT is never used, because an attacker could replay the data. The name of the protocol (ALPN) is
// [Protocol].
//
// # The end of a connection
//
// Closing a QUIC connection discards data that is still on its way, and a sender cannot learn whether its data has
// arrived. So the client closes the connection, when it has all replies. When the daemon's listener is closed, closing the
// last conn of a connection waits until the client has closed it, for at most two seconds since the last write. Before
// that, Close does not wait.
//
// A client that closes its last conn before the daemon has closed it cannot know what the daemon has read. It sends
// STOP_SENDING with the application error code 1, and the daemon closes the connection when it has closed its side.
//
// # Limits
//
// A connection has at most MaxStreams conns; the daemon must close one before the client can open another. A listener has
// at most MaxConns connections, and MaxPerSource from one address. The address that counts is that of the first packet; it
// may change later, as behind a NAT. If more than a hundred handshakes begin in a second, or one address has many
// connections, a client must first prove its address (Retry), which costs a round trip. Before that the daemon sends at
// most three times the bytes that it has received (RFC 9000, section 8.1).
//
// The flow control windows bound the bytes that were received and not read: 64 KiB for a connection at the beginning, and
// up to 2 MiB for a stream and 4 MiB for a connection when the daemon reads quickly. A connection on which no stream is
// opened within Idle is closed.
//
// # The system
//
// QUIC needs larger UDP buffers than most systems allow: set net.core.rmem_max and wmem_max to 7500000. The environment
// variables QUIC_GO_DISABLE_GSO and QUIC_GO_DISABLE_ECN, set to true, help with network cards and tunnels that damage
// packets.
package quic
