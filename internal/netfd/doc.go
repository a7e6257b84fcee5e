// Package netfd reads, writes and polls the descriptors of connections without an extra system call. It is the only
// package with raw descriptors and epoll.
//
// The owner of a connection, as [github.com/rudderpost/rudderpost/transport.Stream], has a [Conn] beside it: [Conn.Init]
// first, then [Conn.ReadLoop] or [Conn.WaitReadable]. A [Poller] waits for many idle Conns with one goroutine.
// [NewSocket] makes a net.Conn that uses its descriptor in this way. [FrameConn] is the interface of a connection of
// frames that has such a fast path.
//
// Four rules hold for all users:
//
//   - The callback of the read loop holds the read lock of the descriptor, and Close of the descriptor waits for that
//     lock. So Close must not run on the callback. transport.Stream.Close asks [Conn.InLoop] and then starts a goroutine
//     that closes.
//   - A read that does not fill its buffer proves that the descriptor is empty on Linux only (epoll(7), question 9).
//     [Conn.TryRead] reports it.
//   - The end of a context sets a deadline in the past, and a deadline that is set later replaces it. So the goroutine
//     that sets a deadline checks the context after it was set.
//   - close(2) removes a descriptor from an epoll set without an event. So the closer removes the registration itself and
//     wakes its conn: [Conn.SetClosed] before the descriptor is closed, and [Conn.WakeParked] after it.
package netfd
