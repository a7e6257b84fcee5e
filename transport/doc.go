// Package transport defines how a daemon and its clients exchange frames. A frame is one JSON object or array.
//
// To serve a daemon, take the Transport of a package below this one, and pass it to mgr.CommandMgr.Listen:
// &unix.Transport{Path: "/run/x.sock"}. To write a transport, start with [NewStream]: it makes a [Conn] of a net.Conn or
// of any other byte stream. It finds where each frame ends, blanks comments, and keeps the limits of length and time. Then
// run [github.com/rudderpost/rudderpost/transport/transporttest], which tests a transport in one line.
//
// A [Transport] opens a [Listener], which accepts a [Conn] for each connection. A [Dialer] opens a Conn from the other
// side. A Conn sends and receives frames and knows its [Peer]; it does not look inside a frame. These four interfaces have
// ten methods, and there is no registry: a transport is a value in a package of its own.
//
// Some interfaces are optional. A conn that is or embeds a [Stream] has a fast path ([Stream.Fast]). A [ReasonCloser]
// tells its peer why it is closed. A listener counts received bytes in a [Memory], and reports a failed handshake as a
// [Refusal].
package transport
