// Package quic reaches a daemon over QUIC (RFC 9000): many conns at once on one encrypted
// connection, over UDP. Each conn is a bidirectional stream of its own, so that a long reply on one
// holds up none of the others, and a lost packet only those whose bytes were in it.
//
// A client proves who it is with a certificate; without one that the daemon's authority vouches for
// nobody gets past the handshake. What it has proven are the credentials of package tlsconf. There is
// never 0-RTT data, which somebody else could replay. The protocol's name (ALPN) is [Protocol].
//
// A [Transport] that dials keeps its connection while a conn on it is open, and opens further conns
// as streams of that one. Peer.Session names the connection, and is the same for all of its conns. A
// stream is invisible to the daemon until something was sent on it.
//
// # The last word
//
// Closing a QUIC connection overtakes what is on its way, and nobody can ask whether it has arrived.
// So the client closes the connection, once it has what it wanted, and the daemon lingers: when its
// listener is closed, the last conn of a connection that is closed waits until the client has gone,
// for at most two seconds since something was sent. Before that Close does not wait.
//
// A client that closes its last conn without having heard the end of it cannot know what the daemon
// has read. It says so (STOP_SENDING with the application error code 1), and the daemon closes the
// connection as soon as it has closed its side of the conn.
//
// # Limits
//
// A connection has at most MaxStreams conns; the next one may be opened when the daemon has closed
// one. There are at most MaxConns connections, and MaxPerSource from one address. An address is what
// the client had when it connected: it may change, as behind a NAT, and the connection stays. When
// more than a hundred strangers in a second begin a handshake, or many from one address, clients
// must prove first that they are where they say (Retry), which costs a round trip. Before that nobody
// is sent more than three times what came in his name, to the end of a packet (RFC 9000, section 8.1).
//
// What a peer has sent and nobody has read is bounded by the flow control windows: 64 KiB a stream
// and 1 MiB a connection to begin with, more, up to 2 MiB and 8 MiB, for those that are read quickly.
// A connection on which no stream is opened for as long as Idle is closed.
//
// UDP wants larger buffers than most systems permit: set net.core.rmem_max and wmem_max to 7500000.
// The environment variables QUIC_GO_DISABLE_GSO and QUIC_GO_DISABLE_ECN, set to true, help with
// network cards and tunnels that spoil packets.
package quic
