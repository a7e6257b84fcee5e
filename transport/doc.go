// Package transport says what a way into a daemon is.
//
// A [Transport] is one place at which a daemon can be reached, a value whose exported fields say
// which: &unix.Transport{Path: "/run/x.sock"}. It opens a [Listener], which hands out one [Conn]
// for each conversation; a [Dialer] reaches the same place from the other side. A Conn moves
// frames, each one JSON object or array, and knows who its [Peer] is. It never looks inside a frame.
//
// That is all that anybody needs: ten methods, no registry. A transport of your own is a value in a
// package of your own, proven by [github.com/rudderpost/rudderpost/transport/transporttest]. A Conn may do three things
// more for those who ask it, as an [io.Writer] may be an [io.ReaderFrom]: call who answers where it reads, a [Hearer],
// and send a long frame from where its parts lie, a [PartSender]. Each saves something, and changes nothing else. A
// [ReasonCloser] tells its peer why it is closed.
//
// Whatever moves bytes (a socket, a QUIC stream, a serial line) becomes a Conn through [NewStream],
// which finds where each frame ends, blanks comments, and keeps the limits.
package transport
